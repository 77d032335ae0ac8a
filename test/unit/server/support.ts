/** Real servers and real connections for the tests of the server. */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import path from "node:path";
import { io, type Socket } from "socket.io-client";
import type { CreateEngine } from "../../../server/app/engine.ts";
import { type RunningServer, startServer } from "../../../server/app/server.ts";
import { PROJECT_ROOT } from "../../../server/config/load.ts";
import { type Config, configSchema } from "../../../server/config/schema.ts";
import type {
  Ack,
  ClientMessage,
  ClientMessageName,
  ClientReplies,
  JoinReply,
  ServerEventName,
  ServerEvents,
} from "../../../server/edges/socket/protocol.ts";
import { createLogger } from "../../../server/telemetry/logger.ts";

export const SECRET = "a secret of the tests, long enough for HS256";
export const silentLogger = createLogger("silent");

/** A base port that neither UDP nor TCP uses now. */
export async function freeRtcPort(): Promise<number> {
  for (let port = 40_000; port < 40_480; port += 30) {
    if ((await isFreeUdp(port)) && (await isFreeTcp(port))) return port;
  }
  throw new Error("Expected a free port between 40000 and 40480.");
}

function isFreeUdp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", () => resolve(false));
    socket.bind(port, "127.0.0.1", () => socket.close(() => resolve(true)));
  });
}

function isFreeTcp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

type Overrides = { [S in keyof Config]?: S extends "presetsFile" ? string : Partial<Config[S]> };

/** Settings for a server on free ports, without an engine. */
export async function testConfig(overrides: Overrides = {}): Promise<Config> {
  const rtcMinPort = await freeRtcPort();
  const config = configSchema.parse({
    ...overrides,
    http: { port: 0, ...overrides.http },
    sfu: { workers: 1, rtcMinPort, rtcMaxPort: rtcMinPort + 29, ...overrides.sfu },
    log: { level: "silent" },
  });
  return { ...config, presetsFile: path.join(PROJECT_ROOT, "config/presets.yaml") };
}

export async function startTestServer(
  overrides: Overrides = {},
  createEngine?: CreateEngine,
): Promise<RunningServer> {
  return startServer(await testConfig(overrides), silentLogger, createEngine);
}

/** A signalling client as the browser has one, without media. */
export class TestClient {
  readonly socket: Socket;
  /** Everything that the server sent, in order. */
  readonly events: { name: string; payload: unknown }[] = [];

  constructor(url: string, token?: string, resume?: string) {
    this.socket = io(url, {
      transports: ["websocket"],
      forceNew: true,
      auth: { ...(token && { token }), ...(resume && { resume }) },
    });
    this.socket.onAny((name: string, payload: unknown) => this.events.push({ name, payload }));
  }

  /** The answer as it came, also to messages that no client should send. */
  async raw(name: string, ...args: unknown[]): Promise<Ack<unknown>> {
    return this.socket.timeout(8000).emitWithAck(name, ...args);
  }

  /** @throws Error with the code when the server refuses. */
  async request<N extends ClientMessageName>(
    name: N,
    message: ClientMessage<N>,
  ): Promise<ClientReplies[N]> {
    const answer = await this.raw(name, message);
    if (!answer.ok) throw new Error(`${answer.error.code}: ${answer.error.message}`);
    return answer.data as ClientReplies[N];
  }

  join(
    roomId: string,
    identity: string,
    more: { hideOriginal?: boolean; resume?: string } = {},
  ): Promise<JoinReply> {
    return this.request("join", { roomId, identity, name: identity, ...more });
  }

  /** Announces a track; the transport is never connected, so no media flows. */
  async publish(source: "camera" | "microphone", mimeType?: string): Promise<string> {
    const { id: transportId } = await this.request("transport:create", { direction: "send" });
    return this.publishOn(transportId, source, mimeType);
  }

  async publishOn(
    transportId: string,
    source: "camera" | "microphone",
    mimeType = source === "camera" ? "video/VP8" : "audio/opus",
  ): Promise<string> {
    const { producerId } = await this.request("produce", {
      transportId,
      source,
      kind: source === "camera" ? "video" : "audio",
      rtpParameters: trackParameters(mimeType),
    });
    return producerId;
  }

  async subscribe(rtpCapabilities: JoinReply["routerRtpCapabilities"]): Promise<string> {
    const { id } = await this.request("transport:create", { direction: "recv" });
    await this.request("subscribe", {
      transportId: id,
      rtpCapabilities: rtpCapabilities as ClientMessage<"subscribe">["rtpCapabilities"],
    });
    return id;
  }

  all<N extends ServerEventName>(name: N): ServerEvents[N][] {
    return this.events
      .filter((event) => event.name === name)
      .map((event) => event.payload as ServerEvents[N]);
  }

  /** The first event of this name that fits, also one that has come already. */
  async event<N extends ServerEventName>(
    name: N,
    fits: (payload: ServerEvents[N]) => boolean = () => true,
  ): Promise<ServerEvents[N]> {
    return eventually(`an event ${name}`, () => this.all(name).find(fits));
  }

  close(): void {
    this.socket.disconnect();
  }
}

/** Waits until `look` finds something. @throws Error after `limitMs`. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined,
  limitMs = 8000,
): Promise<T> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > endMs) throw new Error(`Expected ${what} within ${limitMs} ms.`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

let nextSsrc = 1000;

/** What a browser would say about a track of this codec. */
export function trackParameters(mimeType: string): ClientMessage<"produce">["rtpParameters"] {
  const audio = mimeType.startsWith("audio/");
  const h264 = mimeType.toLowerCase() === "video/h264";
  return {
    mid: String(nextSsrc),
    codecs: [
      {
        mimeType,
        payloadType: 100,
        clockRate: audio ? 48_000 : 90_000,
        ...(audio ? { channels: 2 } : {}),
        ...(h264 ? { parameters: { "packetization-mode": 1, "profile-level-id": "42e01f" } } : {}),
        rtcpFeedback: audio ? [] : [{ type: "nack" }, { type: "nack", parameter: "pli" }],
      },
    ],
    encodings: [{ ssrc: nextSsrc++ }],
    rtcp: { cname: "tests", reducedSize: true },
  };
}
