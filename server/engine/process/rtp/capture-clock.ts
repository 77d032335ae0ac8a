/**
 * Knows when each frame was captured. Sender reports tie the RTP clock to the sender's wall clock;
 * abs-capture-time, where it comes, is the finer source and is checked against them. Before the
 * first report the time of arrival stands in, and says so. The time handed out never goes backward
 * and never leaps when a source gets better: corrections are slewed in.
 */
import { Unwrapper } from "./sequence.ts";

export type CaptureSource = "arrival" | "senderReport" | "absCaptureTime";

export interface CaptureTime {
  /** Unix ms in the SFU's clock. */
  captureTimeMs: number;
  source: CaptureSource;
}

/** Video RTP clock: ticks in a millisecond. */
export const TICKS_PER_MS = 90;

/** Corrections move at most by this share of the media time that passed: invisible to viewers. */
const SLEW_RATE = 0.1;
/** An abs-capture-time older than this no longer counts; it comes about once a second. */
const ABS_CAPTURE_FRESH_MS = 5000;
/** Both sources must agree this well; else a client's clock is wrong and the report is believed. */
const AGREEMENT_MS = 250;
/** A capture time this far from the arrival means that the RTP clock was started anew. */
const DISCONTINUITY_MS = 10_000;
/** Least step between frames. */
const MIN_STEP_MS = 0.1;

export class CaptureClock {
  readonly #unwrapper = new Unwrapper(32);
  /** Unix ms at RTP time 0 by each source. */
  #reportOffset: number | null = null;
  #absOffset: number | null = null;
  #absAtMs = Number.NEGATIVE_INFINITY;
  #arrivalOffset: number | null = null;
  /** The offset in use, on its way to the best source's. */
  #offset: number | null = null;
  #lastRtp = 0;
  #lastCaptureMs = Number.NEGATIVE_INFINITY;
  #hasFrame = false;
  #disagreements = 0;

  /** How often abs-capture-time was put aside because the sender report said otherwise. */
  get disagreements(): number {
    return this.#disagreements;
  }

  /** A sender report for the stream: wall clock `ntpUnixMs` at RTP timestamp `rtp` (32 bits). */
  onSenderReport(ntpUnixMs: number, rtp: number): void {
    if (!this.#hasFrame) {
      this.#unwrapper.unwrap(rtp);
    }
    this.#reportOffset = ntpUnixMs - this.#unwrapper.near(rtp) / TICKS_PER_MS;
  }

  /**
   * Capture time of the frame with the 32-bit RTP timestamp `rtp`. Frames come in decoding order.
   * `arrivalMs` (Unix ms) is when its first packet arrived, `absCaptureMs` what a packet carried.
   */
  frame(rtp: number, arrivalMs: number, absCaptureMs: number | null): CaptureTime {
    const extended = this.#unwrapper.unwrap(rtp);
    const mediaMs = extended / TICKS_PER_MS;
    this.#noteArrival(arrivalMs - mediaMs, arrivalMs, absCaptureMs);
    let { offset: target, source } = this.#best(arrivalMs);
    if (Math.abs(mediaMs + target - arrivalMs) > DISCONTINUITY_MS) {
      this.#restart(arrivalMs - mediaMs);
      target = arrivalMs - mediaMs;
      source = "arrival";
    }
    this.#offset = this.#slew(target, extended);
    const captureTimeMs = Math.max(mediaMs + this.#offset, this.#lastCaptureMs + MIN_STEP_MS);
    this.#lastCaptureMs = captureTimeMs;
    this.#lastRtp = extended;
    this.#hasFrame = true;
    return { captureTimeMs, source };
  }

  #noteArrival(offset: number, arrivalMs: number, absCaptureMs: number | null): void {
    // The smallest difference is the one with the least waiting on the way.
    this.#arrivalOffset = Math.min(this.#arrivalOffset ?? offset, offset);
    if (absCaptureMs !== null) {
      this.#absOffset = offset + (absCaptureMs - arrivalMs);
      this.#absAtMs = arrivalMs;
    }
  }

  #best(nowMs: number): { offset: number; source: CaptureSource } {
    const fresh = this.#absOffset !== null && nowMs - this.#absAtMs < ABS_CAPTURE_FRESH_MS;
    if (this.#reportOffset !== null) {
      if (fresh && this.#absOffset !== null) {
        if (Math.abs(this.#absOffset - this.#reportOffset) <= AGREEMENT_MS) {
          return { offset: this.#absOffset, source: "absCaptureTime" };
        }
        this.#disagreements += 1;
      }
      return { offset: this.#reportOffset, source: "senderReport" };
    }
    return { offset: this.#arrivalOffset ?? 0, source: "arrival" };
  }

  #restart(arrivalOffset: number): void {
    this.#reportOffset = null;
    this.#absOffset = null;
    this.#arrivalOffset = arrivalOffset;
    this.#offset = null;
  }

  #slew(target: number, extended: number): number {
    if (this.#offset === null) {
      return target;
    }
    const passedMs = Math.max(0, extended - this.#lastRtp) / TICKS_PER_MS;
    const most = passedMs * SLEW_RATE;
    return this.#offset + Math.max(-most, Math.min(most, target - this.#offset));
  }
}
