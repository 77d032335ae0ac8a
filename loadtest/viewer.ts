import { isRtcp, RtpPacket } from "werift-rtp";
import type { ClientMessage, JoinReply, NewConsumer } from "../server/edges/socket/protocol.ts";
import {
  ABS_CAPTURE_TIME_URI,
  readAbsCaptureTime,
} from "../server/engine/process/rtp/abs-capture-time.ts";
import { Peer } from "./peer.ts";
import type { SignalingSession } from "./signaling.ts";

const VIDEO_CLOCK_HZ = 90_000;
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

class IncomingStream {
  readonly report: StreamReport;
  readonly #captureTimeId: number | undefined;
  #highest: number | undefined;
  #lastFrameAtMs: number | undefined;
  /** One known point of the capture timeline: RTP timestamp and Unix time in ms. */
  #anchor: { rtp: number; captureMs: number } | undefined;

  constructor(consumer: NewConsumer) {
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
    this.#highest = sequenceNumber;
    if (this.report.kind === "video" && marker) this.#onFrame(timestamp, nowMs, measuring);
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
    if (gapMs > FREEZE_MS) {
      this.report.freezes += 1;
      this.report.freezeMs += gapMs;
    }
    if (this.#anchor) {
      const ticks = (timestamp - this.#anchor.rtp) | 0;
      const captureMs = this.#anchor.captureMs + (ticks * 1000) / VIDEO_CLOCK_HZ;
      this.report.delaysMs.push(nowMs - captureMs);
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
  #peer: Peer | undefined;
  #measuring = false;

  private constructor(session: SignalingSession, startedAtMs: number, nowMs: () => number) {
    this.#session = session;
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
    const { routerRtpCapabilities } = await session.request("join", { roomId, name });
    const peer = await Peer.connect(session, "recv", name);
    const viewer = new Viewer(session, startedAtMs, nowMs);
    viewer.#peer = peer;
    peer.on("packet", (packet) => viewer.#onPacket(packet));
    session.on("consumer:new", (c) => viewer.#onConsumer(c));
    session.on("consumer:paused", ({ consumerId }) => {
      const ssrc = viewer.#bySsrcOfConsumer.get(consumerId);
      if (ssrc !== undefined) viewer.#streams.get(ssrc)?.onPaused();
    });
    await session.request("subscribe", {
      transportId: peer.id,
      rtpCapabilities: withoutRtx(routerRtpCapabilities),
    });
    return viewer;
  }

  /** From now on frames, bytes and delays count; what came before was warm-up. */
  startMeasuring(): void {
    this.#measuring = true;
  }

  reports(): StreamReport[] {
    return [...this.#streams.values()].map((s) => s.report);
  }

  close(): void {
    this.#session.close();
    this.#peer?.close();
  }

  #onConsumer(consumer: NewConsumer): void {
    const ssrc = consumer.rtpParameters.encodings?.[0]?.ssrc;
    if (ssrc === undefined) throw new Error(`consumer ${consumer.consumerId}: expected an SSRC`);
    this.#streams.set(ssrc, new IncomingStream(consumer));
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
