import { isRtcp, RtpPacket } from "werift-rtp";
import type { ClientMessage, JoinReply, NewConsumer } from "../server/edges/socket/protocol.ts";
import {
  ABS_CAPTURE_TIME_URI,
  readAbsCaptureTime,
} from "../server/engine/process/rtp/abs-capture-time.ts";
import { Peer, type PeerOptions } from "./peer.ts";
import type { SignalingSession } from "./signaling.ts";

const VIDEO_CLOCK_HZ = 90_000;
// Enough for percentiles of any run; later ones replace random earlier ones (reservoir sampling).
const MAX_DELAYS = 20_000;
/** Between two samples of a soak. */
const MAX_RECENT_DELAYS = 2000;
/** Packets of one frame that are kept for an observer; a frame of more is no picture of a camera. */
const MAX_FRAME_PACKETS = 1024;
// A picture that stands still longer than this counts as a freeze (webrtc-stats: freezeCount uses
// the mean frame duration + 150 ms; at 16 fps that is about 210 ms, rounded up for chunked output).
const FREEZE_MS = 500;

/** What one viewer measured of one incoming stream. */
export interface StreamReport {
  kind: "audio" | "video";
  track: "original" | "generated";
  firstFrameAtMs: number | null;
  frames: number;
  bytes: number;
  packets: number;
  lostPackets: number;
  freezes: number;
  freezeMs: number;
  /** Capture to arrival of the frame's last packet at the viewer, ms. */
  delaysMs: number[];
}

/** A frame whose last packet has come. */
export interface SeenFrame {
  participantId: string;
  track: "original" | "generated";
  ssrc: number;
  atMs: number;
  /** RTP payloads in the order of arrival; some are missing where packets were lost. */
  payloads: Buffer[];
  /** No packet of the stream is missing since the last frame. */
  whole: boolean;
}

export interface ViewerOptions {
  peer?: PeerOptions;
  /** Sees every frame of video; only tools that look into the pictures pay for it. */
  onFrame?(frame: SeenFrame): void;
}

class IncomingStream {
  readonly report: StreamReport;
  readonly #consumer: NewConsumer;
  readonly #onSeen: ViewerOptions["onFrame"];
  #payloads: Buffer[] = [];
  #whole = true;
  #delays = 0;
  #recent: { delaysMs: number[]; frames: number } = { delaysMs: [], frames: 0 };
  readonly #captureTimeId: number | undefined;
  #highest: number | undefined;
  #lastFrameAtMs: number | undefined;
  /** One known point of the capture timeline: RTP timestamp and Unix time in ms. */
  #anchor: { rtp: number; captureMs: number } | undefined;

  constructor(consumer: NewConsumer, onSeen: ViewerOptions["onFrame"]) {
    this.#consumer = consumer;
    this.#onSeen = onSeen;
    this.report = {
      kind: consumer.kind,
      track: consumer.track,
      firstFrameAtMs: null,
      frames: 0,
      bytes: 0,
      packets: 0,
      lostPackets: 0,
      freezes: 0,
      freezeMs: 0,
      delaysMs: [],
    };
    const extension = consumer.rtpParameters.headerExtensions?.find(
      (e) => e.uri === ABS_CAPTURE_TIME_URI,
    );
    this.#captureTimeId = extension?.id;
  }

  onPacket(packet: RtpPacket, nowMs: number, measuring: boolean): void {
    const { sequenceNumber, timestamp, marker, extensions } = packet.header;
    const captureTime = extensions.find((e) => e.id === this.#captureTimeId);
    const captureMs = captureTime ? readAbsCaptureTime(captureTime.payload) : null;
    if (captureMs !== null) this.#anchor = { rtp: timestamp, captureMs };
    // A packet of Opus is a frame of its own; a frame of video ends with the marker.
    if (marker || this.report.kind === "audio") this.report.firstFrameAtMs ??= nowMs;
    if (measuring) {
      this.report.packets += 1;
      this.report.bytes += packet.payload.length;
      this.#countLoss(sequenceNumber);
    }
    const inOrder =
      this.#highest === undefined || ((sequenceNumber - this.#highest) & 0xffff) === 1;
    this.#highest = sequenceNumber;
    if (this.report.kind !== "video") return;
    if (this.#onSeen !== undefined) this.#keep(packet, inOrder, nowMs);
    if (marker) this.#onFrame(timestamp, nowMs, measuring);
  }

  #keep(packet: RtpPacket, inOrder: boolean, atMs: number): void {
    if (!inOrder) this.#whole = false;
    // Padding probes bandwidth and belongs to no frame.
    if (packet.payload.length > 0 && this.#payloads.length < MAX_FRAME_PACKETS) {
      this.#payloads.push(packet.payload);
    }
    if (!packet.header.marker || this.#payloads.length === 0) return;
    const { participantId, track } = this.#consumer;
    const payloads = this.#payloads;
    this.#onSeen?.({
      ...{ participantId, track, atMs, payloads },
      ...{ ssrc: packet.header.ssrc, whole: this.#whole },
    });
    this.#payloads = [];
    this.#whole = true;
  }

  /** A pause by the server is not a freeze: the next frame starts a new run. */
  onPaused(): void {
    this.#lastFrameAtMs = undefined;
    this.#highest = undefined;
  }

  #countLoss(sequenceNumber: number): void {
    if (this.#highest === undefined) return;
    const step = (sequenceNumber - this.#highest) & 0xffff;
    // Steps in the upper half are late or repeated packets; one fills a gap counted before.
    if (step > 1 && step < 0x8000) this.report.lostPackets += step - 1;
    else if (step >= 0x8000) this.report.lostPackets = Math.max(0, this.report.lostPackets - 1);
  }

  #onFrame(timestamp: number, nowMs: number, measuring: boolean): void {
    const gapMs = this.#lastFrameAtMs === undefined ? 0 : nowMs - this.#lastFrameAtMs;
    this.#lastFrameAtMs = nowMs;
    if (!measuring) return;
    this.report.frames += 1;
    this.#recent.frames += 1;
    if (gapMs > FREEZE_MS) {
      this.report.freezes += 1;
      this.report.freezeMs += gapMs;
    }
    if (this.#anchor) {
      const ticks = (timestamp - this.#anchor.rtp) | 0;
      const captureMs = this.#anchor.captureMs + (ticks * 1000) / VIDEO_CLOCK_HZ;
      this.#addDelay(nowMs - captureMs);
    }
  }

  /** What was new since the last call. */
  takeRecent(): { delaysMs: number[]; frames: number } {
    const taken = this.#recent;
    this.#recent = { delaysMs: [], frames: 0 };
    return taken;
  }

  /** A soak of hours keeps a fair sample, not every frame. */
  #addDelay(delayMs: number): void {
    this.#delays += 1;
    if (this.#recent.delaysMs.length < MAX_RECENT_DELAYS) this.#recent.delaysMs.push(delayMs);
    const { delaysMs } = this.report;
    if (delaysMs.length < MAX_DELAYS) delaysMs.push(delayMs);
    else {
      const at = Math.floor(Math.random() * this.#delays);
      if (at < MAX_DELAYS) delaysMs[at] = delayMs;
    }
  }
}

type Capabilities = ClientMessage<"subscribe">["rtpCapabilities"];

/** No RTX and no congestion control: the tester must see what the server sends, unthrottled. */
function withoutRtx(router: JoinReply["routerRtpCapabilities"]): Capabilities {
  const codecs = (router.codecs ?? []).filter((c) => !c.mimeType.toLowerCase().endsWith("/rtx"));
  const kept = codecs.map((codec) => ({
    ...codec,
    rtcpFeedback: codec.kind === "video" ? [{ type: "nack", parameter: "pli" }] : [],
  }));
  // mediasoup types codec parameters as unknown; they come from the server and go back unchanged.
  return { codecs: kept, headerExtensions: router.headerExtensions } as Capabilities;
}

/** A participant that only receives: counts frames, loss, freezes and delay of every stream. */
export class Viewer {
  readonly joinMs: number;
  readonly joinedAtMs: number;
  readonly #session: SignalingSession;
  readonly #streams = new Map<number, IncomingStream>();
  readonly #bySsrcOfConsumer = new Map<string, number>();
  readonly #nowMs: () => number;
  readonly #options: ViewerOptions;
  readonly #listeners: (() => void)[] = [];
  #peer: Peer | undefined;
  #measuring = false;

  private constructor(
    session: SignalingSession,
    startedAtMs: number,
    nowMs: () => number,
    options: ViewerOptions,
  ) {
    this.#session = session;
    this.#options = options;
    this.#nowMs = nowMs;
    this.joinedAtMs = nowMs();
    this.joinMs = this.joinedAtMs - startedAtMs;
  }

  /** Joins the room and subscribes to everybody in it, now and later. */
  static async join(
    session: SignalingSession,
    roomId: string,
    name: string,
    nowMs: () => number,
  ): Promise<Viewer> {
    const startedAtMs = nowMs();
    const reply = await session.request("join", { roomId, name });
    return Viewer.attach(session, reply, name, nowMs, startedAtMs);
  }

  /** Subscribes for somebody who has joined, for the first time or after the media was lost. */
  static async attach(
    session: SignalingSession,
    { routerRtpCapabilities }: Pick<JoinReply, "routerRtpCapabilities">,
    name: string,
    nowMs: () => number,
    startedAtMs = nowMs(),
    options: ViewerOptions = {},
  ): Promise<Viewer> {
    const peer = await Peer.connect(session, "recv", name, options.peer);
    const viewer = new Viewer(session, startedAtMs, nowMs, options);
    viewer.#peer = peer;
    peer.on("packet", (packet) => viewer.#onPacket(packet));
    viewer.#listeners.push(
      session.on("consumer:new", (c) => viewer.#onConsumer(c)),
      session.on("consumer:paused", ({ consumerId }) => {
        const ssrc = viewer.#bySsrcOfConsumer.get(consumerId);
        if (ssrc !== undefined) viewer.#streams.get(ssrc)?.onPaused();
      }),
    );
    try {
      await session.request("subscribe", {
        transportId: peer.id,
        rtpCapabilities: withoutRtx(routerRtpCapabilities),
      });
    } catch (error) {
      viewer.closeMedia();
      throw error;
    }
    return viewer;
  }

  /** From now on frames, bytes and delays count; what came before was warm-up. */
  startMeasuring(): void {
    this.#measuring = true;
  }

  /** Video frames and delays since the last call, by stream. */
  takeRecent(): { track: "original" | "generated"; delaysMs: number[]; frames: number }[] {
    return [...this.#streams.values()]
      .filter(({ report }) => report.kind === "video")
      .map((stream) => ({ track: stream.report.track, ...stream.takeRecent() }));
  }

  reports(): StreamReport[] {
    return [...this.#streams.values()].map((s) => s.report);
  }

  /** Consumers that were announced while nobody listened. */
  adopt(consumers: readonly NewConsumer[]): void {
    for (const consumer of consumers) {
      if (!this.#bySsrcOfConsumer.has(consumer.consumerId)) this.#onConsumer(consumer);
    }
  }

  get open(): boolean {
    return this.#peer?.open ?? false;
  }

  /** Sends one packet of feedback to the server. */
  sendFeedback(packet: Buffer): boolean {
    return this.#peer?.send(packet) ?? false;
  }

  /** SSRCs of the video streams that were announced. */
  videoSsrcs(): number[] {
    return [...this.#streams].filter(([, s]) => s.report.kind === "video").map(([ssrc]) => ssrc);
  }

  /** Ends what is received; the place in the room stays. */
  closeMedia(): void {
    for (const stop of this.#listeners.splice(0)) stop();
    this.#peer?.close();
  }

  close(): void {
    this.#session.close();
    this.closeMedia();
  }

  #onConsumer(consumer: NewConsumer): void {
    const ssrc = consumer.rtpParameters.encodings?.[0]?.ssrc;
    if (ssrc === undefined) throw new Error(`consumer ${consumer.consumerId}: expected an SSRC`);
    this.#streams.set(ssrc, new IncomingStream(consumer, this.#options.onFrame));
    this.#bySsrcOfConsumer.set(consumer.consumerId, ssrc);
    // The connection may close while this is in flight; the run then ends with what it has.
    this.#session
      .request("consumer:ready", { consumerId: consumer.consumerId })
      .catch(() => undefined);
  }

  #onPacket(packet: Buffer): void {
    if (isRtcp(packet)) return;
    const rtp = RtpPacket.deSerialize(packet);
    this.#streams.get(rtp.header.ssrc)?.onPacket(rtp, this.#nowMs(), this.#measuring);
  }
}
