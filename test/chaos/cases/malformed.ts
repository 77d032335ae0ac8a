import { setTimeout as sleep } from "node:timers/promises";
import { io, type Socket } from "socket.io-client";
import { breakCall } from "../support/call.ts";
import { seeded } from "../support/clip.ts";
import type { ChaosCase } from "../support/types.ts";

const SOCKETS = 20;
/** So many wait for an answer at a time on each connection: more than the server lets wait. */
const BURST = 100;
const ANSWER_LIMIT_MS = 8000;
const RAW_FRAMES = ["", "9", "4", "42", '42["', "45-[", "40{", `42["join",${"[".repeat(2000)}`];

const NAMES = [
  ...["join", "leave", "transport:create", "transport:connect", "produce", "subscribe"],
  ...["consumer:ready", "transform:set", "transform:get", "producer:pause", "", "__proto__"],
  ...["constructor", "consumer:new", "no such message", "x".repeat(5000)],
];

/** One message that no client should send. */
function nonsense(random: () => number): [name: string, ...args: unknown[]] {
  const pick = <T>(values: readonly T[]) => values[Math.floor(random() * values.length)] as T;
  const deep = JSON.parse(`${'{"a":'.repeat(50)}1${"}".repeat(50)}`) as unknown;
  const value = (): unknown =>
    pick<() => unknown>([
      () => null,
      () => "",
      () => "\u0000\u202e".repeat(20),
      () => "y".repeat(20_000),
      () => -1,
      () => 1e308,
      () => [],
      () => deep,
      () => ({}),
      () => Buffer.alloc(64, 7),
      () => ({ roomId: value(), name: value(), identity: value() }),
      () => ({ mode: "restyle", prompt: value(), strength: value(), steps: value() }),
      () => ({ transportId: value(), kind: value(), source: value(), rtpParameters: value() }),
      () => JSON.parse('{"__proto__":{"ok":true},"constructor":{}}') as unknown,
    ])();
  const args = Array.from({ length: Math.floor(random() * 3) }, value);
  return [pick(NAMES), ...args];
}

async function attack(url: string, count: number, random: () => number): Promise<number> {
  let answered = 0;
  let socket: Socket | undefined;
  const connect = async () => {
    socket?.disconnect();
    socket = io(url, { transports: ["websocket"], forceNew: true, reconnection: false });
    await new Promise<void>((resolve, reject) => {
      socket?.once("connect", resolve);
      socket?.once("connect_error", reject);
    });
  };
  try {
    for (let sent = 0; sent < count; ) {
      // A server may hang up on such a client.
      if (!socket?.connected) await connect();
      const burst = Math.min(BURST, count - sent);
      const answers = Array.from({ length: burst }, () => {
        const [name, ...args] = nonsense(random);
        return socket
          ?.timeout(ANSWER_LIMIT_MS)
          .emitWithAck(name, ...args)
          .then(
            () => 1,
            () => 0,
          );
      });
      sent += burst;
      for (const answer of await Promise.all(answers)) answered += answer ?? 0;
    }
  } finally {
    socket?.disconnect();
  }
  return answered;
}

/** Frames below socket.io's own protocol. */
async function rawFrames(url: string): Promise<number> {
  const address = `${url.replace(/^http/, "ws")}/socket.io/?EIO=4&transport=websocket`;
  for (const frame of RAW_FRAMES) {
    const socket = new WebSocket(address);
    await new Promise<void>((resolve) => {
      socket.onopen = () => {
        socket.send(frame);
        socket.send(Buffer.alloc(100, 255));
      };
      socket.onclose = () => resolve();
      socket.onerror = () => resolve();
      setTimeout(resolve, 300);
    });
    socket.close();
  }
  return 2 * RAW_FRAMES.length;
}

export const malformed: ChaosCase = {
  name: "malformed-messages",
  about: "messages that no client should send, from many connections: the call does not notice",
  limitMs: (short) => (short ? 150_000 : 120_000),
  run({ short, say }) {
    const total = short ? 1000 : 10_000;
    return breakCall({}, { longestGapMs: 3000, renegotiations: 0 }, async (call) => {
      const { url } = call.server;
      call.tried += await rawFrames(url);
      const each = total / SOCKETS;
      const answers = await Promise.all(
        Array.from({ length: SOCKETS }, (_, i) => attack(url, each, seeded(i + 1))),
      );
      call.tried += total;
      const answered = answers.reduce((a, b) => a + b, 0);
      say(`${answered} of ${total} messages were answered`);
      // Messages whose connection was cut for them have no answer; silence for all is no answer.
      if (answered === 0) call.notes.push("expected answers, got none");
      await sleep(500);
      const health = await fetch(`${url}/healthz`).catch((error: unknown) => ({
        ok: false,
        status: String(error),
      }));
      if (!health.ok) call.notes.push(`expected /healthz to say ok, got ${health.status}`);
    });
  },
};
