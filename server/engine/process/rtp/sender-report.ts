/**
 * Truthful sender reports for the generated track: they tie its RTP clock, which is the capture
 * timeline, to the wall clock. A receiver needs them to keep the original voice in sync, and needs
 * several early (mediasoup estimates from the third on), hence the quick start.
 */

import type { RtcpReceiverInfo } from "werift-rtp";
import { RtcpSenderInfo, RtcpSrPacket } from "werift-rtp";
import { TICKS_PER_MS } from "./capture-clock.ts";
import { unixMsToNtp } from "./ntp.ts";
import { modulo } from "./sequence.ts";

/** The pace of reports at the start of a track, and how long it lasts. */
const QUICK_INTERVAL_MS = 250;
const QUICK_FOR_MS = 5000;
const INTERVAL_MS = 1000;
const TWO_POW_32 = 2 ** 32;

/** RTP timestamp of a moment of the capture timeline (see media-timeline.ts), modulo 2^32. */
export function rtpTimestampAt(captureTimeMs: number, timestampOffset: number): number {
  return modulo(Math.round(captureTimeMs * TICKS_PER_MS) + timestampOffset, TWO_POW_32);
}

export class SenderReporter {
  readonly #ssrc: number;
  readonly #timestampOffset: number;
  #startedAtMs: number | null = null;
  #lastAtMs = Number.NEGATIVE_INFINITY;
  #packets = 0;
  #octets = 0;

  constructor(ssrc: number, timestampOffset: number) {
    this.#ssrc = ssrc;
    this.#timestampOffset = timestampOffset;
  }

  /** Counts a sent packet. @param nowMs monotonic */
  onPacketSent(payloadBytes: number, nowMs: number): void {
    this.#startedAtMs ??= nowMs;
    this.#packets += 1;
    this.#octets += payloadBytes;
  }

  /**
   * The report to send now, or null when none is due (none ever is before the first packet).
   * @param nowMs monotonic
   * @param timelineMs the same moment on the capture timeline
   * @param ntpUnixMs the same moment on the wall clock that the receiver is told (Unix ms)
   */
  due(
    nowMs: number,
    timelineMs: number,
    ntpUnixMs: number,
    reports: RtcpReceiverInfo[],
  ): RtcpSrPacket | null {
    if (this.#startedAtMs === null) {
      return null;
    }
    const quick = nowMs - this.#startedAtMs < QUICK_FOR_MS;
    if (nowMs - this.#lastAtMs < (quick ? QUICK_INTERVAL_MS : INTERVAL_MS)) {
      return null;
    }
    this.#lastAtMs = nowMs;
    return new RtcpSrPacket({
      ssrc: this.#ssrc,
      senderInfo: new RtcpSenderInfo({
        ntpTimestamp: unixMsToNtp(ntpUnixMs),
        rtpTimestamp: rtpTimestampAt(timelineMs, this.#timestampOffset),
        packetCount: this.#packets % TWO_POW_32,
        octetCount: this.#octets % TWO_POW_32,
      }),
      reports,
    });
  }
}
