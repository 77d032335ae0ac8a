/** One participant of a room without media: what its connection carries, in messages and bytes. */
import { io, type Socket } from "socket.io-client";
import type {
  Ack,
  ClientMessage,
  ClientMessageName,
  ClientReplies,
  JoinReply,
} from "../../server/edges/socket/protocol.ts";

const REPLY_TIMEOUT_MS = 15_000;
/** Who was told "too many messages" asks again, as often as this. */
const READY_RETRIES = 5;
const READY_RETRY_MS = 1000;
/** Announcements that come together are answered together, where the server has a message for it. */
const READY_BATCH_MS = 20;

/** What a connection carried so far; bytes are payloads of websocket frames, both ways. */
export interface Traffic {
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
}

/** What engine.io tells of a packet: a type, and the text after it. */
interface WirePacket {
  type: string;
  data?: string | ArrayBuffer;
}

// The type is one digit before the data (engine.io-protocol, revision 4).
const wireBytes = ({ data }: WirePacket) =>
  1 +
  (data === undefined ? 0 : typeof data === "string" ? Buffer.byteLength(data) : data.byteLength);

export class Member {
  readonly name: string;
  readonly traffic: Traffic = { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0 };
  /** Tracks that the server has announced to this participant. */
  announced = 0;
  /** Tracks that are set up: the server has taken the acknowledgement. */
  ready = 0;
  /** Acknowledgements that the server refused at first. */
  refused = 0;
  microphone: string | undefined;
  readonly #socket: Socket;
  #batches = false;
  #waiting: string[] = [];
  #watch: (() => void) | undefined;

  constructor(url: string, name: string) {
    this.name = name;
    this.#socket = io(url, { transports: ["websocket"], forceNew: true, reconnection: false });
    this.#socket.on("consumer:new", ({ consumerId }: { consumerId: string }) => {
      this.announced += 1;
      this.#answer(consumerId);
    });
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#socket.once("connect", resolve);
      this.#socket.once("connect_error", (e) => reject(new Error(`${this.name}: ${e.message}`)));
    });
    const { engine } = this.#socket.io;
    engine.on("packet", (packet: WirePacket) => {
      if (packet.type === "message") this.traffic.messagesIn += 1;
      this.traffic.bytesIn += wireBytes(packet);
    });
    engine.on("packetCreate", (packet: WirePacket) => {
      if (packet.type === "message") this.traffic.messagesOut += 1;
      this.traffic.bytesOut += wireBytes(packet);
    });
  }

  /** @throws Error with the server's code, or after 15 s without an answer. */
  async request<N extends ClientMessageName>(
    name: N,
    message: ClientMessage<N>,
  ): Promise<ClientReplies[N]> {
    return (await this.#raw(name, message)) as ClientReplies[N];
  }

  async join(roomId: string): Promise<JoinReply> {
    const reply = await this.request("join", { roomId, name: this.name });
    // A server that hands out resume secrets also takes acknowledgements in groups.
    this.#batches = "resume" in reply;
    return reply;
  }

  /** Announces a camera and a voice; the transport is never connected, so no media flows. */
  async publish(nextSsrc: () => number): Promise<void> {
    const { id: transportId } = await this.request("transport:create", { direction: "send" });
    const produce = (source: "camera" | "microphone") =>
      this.request("produce", {
        transportId,
        source,
        kind: source === "camera" ? "video" : "audio",
        rtpParameters: trackParameters(source, nextSsrc()),
      });
    await produce("camera");
    this.microphone = (await produce("microphone")).producerId;
  }

  async subscribe(rtpCapabilities: JoinReply["routerRtpCapabilities"]): Promise<void> {
    const { id: transportId } = await this.request("transport:create", { direction: "recv" });
    await this.request("subscribe", {
      transportId,
      rtpCapabilities: rtpCapabilities as ClientMessage<"subscribe">["rtpCapabilities"],
    });
  }

  async setMuted(muted: boolean): Promise<void> {
    const { microphone: producerId } = this;
    if (producerId === undefined) throw new Error(`${this.name}: expected a voice, has none`);
    await this.request(muted ? "producer:pause" : "producer:resume", { producerId });
  }

  /** Resolves when `count` tracks are set up; false after `limitMs`. */
  async hasTracks(count: number, limitMs: number): Promise<boolean> {
    if (this.ready >= count) return true;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), limitMs);
      this.#watch = () => {
        if (this.ready < count) return;
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  close(): void {
    this.#socket.disconnect();
  }

  async #raw(name: string, message: unknown): Promise<unknown> {
    const reply: Ack<unknown> = await this.#socket
      .timeout(REPLY_TIMEOUT_MS)
      .emitWithAck(name, message);
    if (!reply.ok) throw new Error(`${name}: ${reply.error.code}: ${reply.error.message}`);
    return reply.data;
  }

  #answer(consumerId: string): void {
    if (!this.#batches) {
      void this.#sendReady("consumer:ready", { consumerId }, 1);
      return;
    }
    this.#waiting.push(consumerId);
    if (this.#waiting.length > 1) return;
    setTimeout(() => {
      const consumerIds = this.#waiting.splice(0);
      void this.#sendReady("consumers:ready", { consumerIds }, consumerIds.length);
    }, READY_BATCH_MS);
  }

  async #sendReady(name: string, message: unknown, count: number): Promise<void> {
    for (let left = READY_RETRIES; left > 0 && this.#socket.connected; left -= 1) {
      try {
        await this.#raw(name, message);
        this.ready += count;
        this.#watch?.();
        return;
      } catch (error) {
        if (!String(error).includes("RATE_LIMITED")) return;
        this.refused += count;
        await new Promise((resolve) => setTimeout(resolve, READY_RETRY_MS));
      }
    }
  }
}

/** What a browser says about a track of VP8 or Opus. */
function trackParameters(
  source: "camera" | "microphone",
  ssrc: number,
): ClientMessage<"produce">["rtpParameters"] {
  const audio = source === "microphone";
  return {
    mid: String(ssrc),
    codecs: [
      {
        mimeType: audio ? "audio/opus" : "video/VP8",
        payloadType: 100,
        clockRate: audio ? 48_000 : 90_000,
        ...(audio ? { channels: 2 } : {}),
        rtcpFeedback: audio ? [] : [{ type: "nack" }, { type: "nack", parameter: "pli" }],
      },
    ],
    encodings: [{ ssrc }],
    rtcp: { cname: `member-${ssrc}`, reducedSize: true },
  };
}
