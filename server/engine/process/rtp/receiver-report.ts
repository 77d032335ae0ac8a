/** Reception statistics of one incoming stream (RFC 3550 section 6.4 and appendix A). */
import { RtcpReceiverInfo } from "werift-rtp";
import { ntpMiddle } from "./ntp.ts";
import { Unwrapper } from "./sequence.ts";

const MOST_LOST = 0x7fffff;

export class ReceptionStatistics {
  readonly #ssrc: number;
  readonly #clockRate: number;
  readonly #unwrapper = new Unwrapper(16);
  #first: number | null = null;
  #highest = 0;
  #received = 0;
  #expectedBefore = 0;
  #receivedBefore = 0;
  #jitter = 0;
  #transit: number | null = null;
  #lastReport: { middle: number; atMs: number } | null = null;

  /** @param clockRate RTP ticks a second, 90000 for video */
  constructor(ssrc: number, clockRate = 90_000) {
    this.#ssrc = ssrc;
    this.#clockRate = clockRate;
  }

  /** Packets lost so far, never negative. */
  get lost(): number {
    return Math.max(0, this.#expected() - this.#received);
  }

  onPacket(sequence: number, timestamp: number, nowMs: number): void {
    const extended = this.#unwrapper.near(sequence);
    if (this.#first === null) {
      this.#first = extended;
      this.#highest = this.#unwrapper.unwrap(sequence);
    } else if (extended > this.#highest) {
      this.#highest = this.#unwrapper.unwrap(sequence);
    }
    this.#received += 1;
    const transit = (nowMs / 1000) * this.#clockRate - timestamp;
    if (this.#transit !== null) {
      const difference = Math.abs(transit - this.#transit);
      // A timestamp that wrapped or started anew says nothing about jitter.
      if (difference < this.#clockRate * 10) {
        this.#jitter += (difference - this.#jitter) / 16;
      }
    }
    this.#transit = transit;
  }

  onSenderReport(ntp: bigint, nowMs: number): void {
    this.#lastReport = { middle: ntpMiddle(ntp), atMs: nowMs };
  }

  /** The block for the next report, or null before the first packet. */
  report(nowMs: number): RtcpReceiverInfo | null {
    if (this.#first === null) {
      return null;
    }
    const expected = this.#expected();
    const expectedNow = expected - this.#expectedBefore;
    const lostNow = expectedNow - (this.#received - this.#receivedBefore);
    this.#expectedBefore = expected;
    this.#receivedBefore = this.#received;
    const last = this.#lastReport;
    return new RtcpReceiverInfo({
      ssrc: this.#ssrc,
      fractionLost:
        expectedNow > 0 && lostNow > 0
          ? Math.min(255, Math.floor((lostNow * 256) / expectedNow))
          : 0,
      packetsLost: Math.min(MOST_LOST, this.lost),
      highestSequence: this.#highest % 2 ** 32,
      jitter: Math.min(0xffffffff, Math.round(this.#jitter)),
      lsr: last?.middle ?? 0,
      dlsr: last === null ? 0 : Math.min(0xffffffff, Math.round((nowMs - last.atMs) * 65.536)),
    });
  }

  #expected(): number {
    return this.#first === null ? 0 : this.#highest - this.#first + 1;
  }
}
