/**
 * A camera at some distance, simulated in milliseconds of its own: 30 frames a second through a
 * network that loses and reorders packets, an SFU (or the engine itself) that asks for what is
 * missing, and an InputStream at the end.
 */
import {
  GenericNack,
  PictureLossIndication,
  RtcpPayloadSpecificFeedback,
  RtcpTransportLayerFeedback,
  RtpHeader,
  RtpPacket,
} from "werift-rtp";
import { InputStream } from "../../../../server/engine/process/rtp/input-stream.ts";
import { parseRtcp } from "../../../../server/engine/process/rtp/rtcp.ts";
import { packetizeVp8 } from "../../../../server/engine/process/rtp/vp8-packetizer.ts";
import { ClockConverter } from "../../../../server/engine/process/rtp/wall-clock.ts";
import { vp8Frame } from "./packets.ts";
import { createRandom } from "./random.ts";

export interface LinkOptions {
  roundTripMs: number | ((atMs: number) => number);
  /** Share of packets lost, repairs as well. */
  loss: number;
  /** Packets lost together. Default 1. */
  burst?: number;
  /** Share of packets that come 1 to 15 ms late. Default 0. */
  reordering?: number;
  /** sfu: asks the camera by itself, as mediasoup does. engine: only our own NACKs reach it. */
  repairs: "sfu" | "engine" | "none";
  seconds?: number;
  seed?: number;
}

export interface LinkResult {
  sent: number;
  /** Share of the frames sent that reached the decoder. */
  share: number;
  /** Longest time between two frames that reached it. */
  longestGapMs: number;
  /** Most that a frame waited after the last of its packets first arrived. */
  mostAddedMs: number;
  drops: Map<string, number>;
  /** The wait at the end of each second. */
  waitsMs: number[];
  nacked: number;
}

const FRAME_MS = 1000 / 30;
const EPOCH_MS = 1_790_000_000_000;
/** mediasoup looks every 40 ms whether to ask again. */
const SFU_TIMER_MS = 40;
const EXTRA_MS = 5;

export function runLink(options: LinkOptions): LinkResult {
  const { loss, burst = 1, reordering = 0, repairs, seconds = 60, seed = 1 } = options;
  const random = createRandom(seed);
  const roundTripAt = (ms: number): number =>
    typeof options.roundTripMs === "number" ? options.roundTripMs : options.roundTripMs(ms);
  const arrivals = new Map<number, RtpPacket[]>();
  const history = new Map<number, RtpPacket>();
  const drops = new Map<string, number>();
  const lastArrivals = new Map<number, number>();
  const delivered: number[] = [];
  const waitsMs: number[] = [];
  let nowMs = 0;
  let nacked = 0;
  let mostAddedMs = 0;
  let keyFrameAtMs = 0;
  let lastKeyFrameWishMs = Number.NEGATIVE_INFINITY;
  let losing = 0;

  const arrive = (packet: RtpPacket, atMs: number): void => {
    const at = Math.ceil(atMs);
    arrivals.set(at, [...(arrivals.get(at) ?? []), packet]);
  };
  /** The SFU's own requests: one when the gap is seen, more while no repair came. */
  const repairBySfu = (packet: RtpPacket, missedAtMs: number): void => {
    for (let tries = 0, askedAtMs = missedAtMs; tries < 10; tries += 1) {
      const roundTripMs = roundTripAt(askedAtMs);
      if (random() >= loss) {
        arrive(packet, askedAtMs + roundTripMs + EXTRA_MS);
        return;
      }
      askedAtMs += Math.ceil((roundTripMs + 1) / SFU_TIMER_MS) * SFU_TIMER_MS;
    }
  };
  const stream = new InputStream({
    sfuClock: new ClockConverter({ offsetMs: EPOCH_MS }),
    ssrc: 1,
    codec: "vp8",
    absCaptureTimeId: null,
    localSsrc: 2,
    sendRtcp: (datagram) => {
      for (const packet of parseRtcp(datagram)) {
        if (packet instanceof RtcpPayloadSpecificFeedback) {
          const wish = packet.feedback instanceof PictureLossIndication;
          if (wish && nowMs - lastKeyFrameWishMs >= 1000) {
            lastKeyFrameWishMs = nowMs;
            keyFrameAtMs = nowMs + roundTripAt(nowMs) / 2;
          }
        } else if (
          packet instanceof RtcpTransportLayerFeedback &&
          packet.feedback instanceof GenericNack
        ) {
          nacked += packet.feedback.lost.length;
          for (const sequence of repairs === "engine" ? packet.feedback.lost : []) {
            const lost = history.get(sequence & 0xffff);
            if (lost !== undefined && random() >= loss) {
              arrive(lost, nowMs + roundTripAt(nowMs) + EXTRA_MS);
            }
          }
        }
      }
    },
    onFrame: (frame) => {
      delivered.push(nowMs);
      const index = Math.round(frame.captureMonoMs / FRAME_MS);
      mostAddedMs = Math.max(mostAddedMs, nowMs - (lastArrivals.get(index) ?? nowMs));
    },
    onDrop: (reason) => drops.set(reason, (drops.get(reason) ?? 0) + 1),
  });
  let sent = 0;
  let sequence = 65_000;
  for (nowMs = 0; nowMs < seconds * 1000; nowMs += 1) {
    while (sent * FRAME_MS <= nowMs) {
      const keyFrame = nowMs >= keyFrameAtMs;
      keyFrameAtMs = keyFrame ? Number.POSITIVE_INFINITY : keyFrameAtMs;
      const bytes = keyFrame ? 10_500 : 500 + Math.floor(random() * 3500);
      const payloads = packetizeVp8(vp8Frame(bytes, keyFrame), sent & 0x7fff);
      payloads.forEach((payload, at) => {
        const header = new RtpHeader({
          sequenceNumber: sequence,
          timestamp: Math.round(sent * FRAME_MS * 90),
          marker: at === payloads.length - 1,
          ssrc: 1,
          payloadType: 96,
        });
        const packet = new RtpPacket(header, payload);
        history.set(sequence, packet);
        history.delete((sequence - 5000) & 0xffff);
        sequence = (sequence + 1) & 0xffff;
        const atMs = nowMs + roundTripAt(nowMs) / 2 + at * 0.2;
        if (losing === 0 && random() < loss / burst) {
          losing = burst;
        }
        if (losing > 0) {
          losing -= 1;
          if (repairs === "sfu") {
            repairBySfu(packet, atMs + 5);
          }
          return;
        }
        arrive(packet, atMs + (random() < reordering ? 1 + random() * 14 : 0));
        lastArrivals.set(sent, Math.ceil(atMs));
      });
      sent += 1;
    }
    const now = { monoMs: nowMs, unixMs: EPOCH_MS + nowMs };
    for (const packet of arrivals.get(nowMs) ?? []) {
      stream.onRtp(packet, now);
    }
    arrivals.delete(nowMs);
    if (nowMs % 20 === 0) {
      stream.tick(now);
    }
    if (nowMs % 1000 === 999) {
      waitsMs.push(stream.jitterWaitMs(now));
    }
  }
  const gaps = delivered.slice(1).map((at, index) => at - (delivered[index] ?? at));
  return {
    sent,
    share: delivered.length / sent,
    longestGapMs: Math.max(...gaps),
    mostAddedMs,
    drops,
    waitsMs,
    nacked,
  };
}
