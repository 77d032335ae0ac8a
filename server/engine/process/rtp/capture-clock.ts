/**
 * Knows when each frame was captured, on one local clock (the engine's monotonic one). Sender reports
 * tie the RTP clock to it; abs-capture-time, where it comes, is the finer source and is checked
 * against them. Where neither can be believed, the time of arrival stands in, and says so.
 *
 * The time handed out always grows and is never after the arrival. Small corrections are slewed in;
 * large ones forward are made at once, and backward as fast as the picture can still go on.
 */
import { Unwrapper } from "./sequence.ts";
import { WindowMinimum } from "./window-minimum.ts";

export type CaptureSource = "arrival" | "senderReport" | "absCaptureTime";

export interface CaptureTime {
  /** Local clock. */
  captureTimeMs: number;
  source: CaptureSource;
}

/** Video RTP clock: ticks in a millisecond. */
export const TICKS_PER_MS = 90;

/** Corrections move at most by this share of the media time that passed: invisible to viewers. */
const SLEW_RATE = 0.1;
/** A correction this large is a step: forward it is made at once. */
const STEP_MS = 250;
/** Above this lips are out of step, so corrections are fast ... */
const NEAR_MS = 100;
/** ... but capture times still grow by 0.3 of the media time: the model goes on getting frames. */
const FAST_SLEW_RATE = 0.7;
/** An abs-capture-time older than this no longer counts; it comes about once a second. */
const ABS_CAPTURE_FRESH_MS = 5000;
/** Both sources must agree this well; else a client's clock is wrong and the report is believed. */
const AGREEMENT_MS = 250;
/** Capture this far after arrival is a clock that is off; below it is the noise of estimates. */
const FUTURE_MS = 100;
/** A frame older than this on arrival is none: the sender's clock was set anew. */
const OLDEST_MS = 10_000;
/** Ages that a report may claim without others that say so too; above, so many reports must. */
const USUAL_AGE_MS = 1000;
const REPORTS_FOR_OLD = 3;
/**
 * Between two frames the RTP clock fell behind real time by so much: the sender's clock stood still,
 * or the network did, and then the frames behind catch up within moments.
 */
const STALL_MS = 1000;
/** The RTP clock went back by so much: it was set, or started anew. */
const BACK_MS = 100;
/** The quickest arrival within this time stands for the way without waiting. */
const ARRIVAL_WINDOW_MS = 1500;
/** Least step between frames: above one tick of the RTP clock, so that no two share a timestamp. */
const MIN_STEP_MS = 0.02;

interface Offset {
  /** Local time at RTP time 0. */
  offset: number;
  source: CaptureSource;
}

export class CaptureClock {
  readonly #unwrapper = new Unwrapper(32);
  /** Local time at RTP time 0 by each source. */
  #reportOffset: number | null = null;
  #oldReports = 0;
  #absOffset: number | null = null;
  #absAtMs = Number.NEGATIVE_INFINITY;
  readonly #arrivals = new WindowMinimum(ARRIVAL_WINDOW_MS);
  /** The offset in use, on its way to the best source's. */
  #offset: number | null = null;
  #last: { mediaMs: number; arrivalMs: number; captureMs: number } | null = null;
  #disagreements = 0;
  #steps = 0;

  /** How often abs-capture-time was put aside because the sender report said otherwise. */
  get disagreements(): number {
    return this.#disagreements;
  }

  /** How often the relation of RTP clock and local clock leapt. */
  get steps(): number {
    return this.#steps;
  }

  /** A sender report for the stream: local time `localMs` at RTP timestamp `rtp` (32 bits). */
  onSenderReport(localMs: number, rtp: number): void {
    if (this.#last === null) {
      this.#unwrapper.unwrap(rtp);
    }
    const offset = localMs - this.#unwrapper.near(rtp) / TICKS_PER_MS;
    const quickest = this.#arrivals.value;
    const known = this.#reportOffset !== null && Math.abs(offset - this.#reportOffset) < STEP_MS;
    // An SFU that has not heard of a new RTP clock yet goes on telling of the old one.
    if (quickest !== null && !known && quickest - offset > USUAL_AGE_MS) {
      this.#oldReports += 1;
      if (this.#oldReports < REPORTS_FOR_OLD) {
        return;
      }
    }
    this.#oldReports = 0;
    this.#reportOffset = offset;
  }

  /**
   * Capture time of the frame with the 32-bit RTP timestamp `rtp`. Frames come in decoding order.
   * `arrivalMs` is when its first packet arrived, `absCaptureMs` what a packet carried; both on the
   * local clock.
   */
  frame(rtp: number, arrivalMs: number, absCaptureMs: number | null): CaptureTime {
    const mediaMs = this.#unwrapper.unwrap(rtp) / TICKS_PER_MS;
    this.#noticeBreak(mediaMs, arrivalMs);
    this.#arrivals.add(arrivalMs - mediaMs, arrivalMs);
    if (absCaptureMs !== null) {
      this.#absOffset = absCaptureMs - mediaMs;
      this.#absAtMs = arrivalMs;
    }
    const { offset: target, source } = this.#best(mediaMs, arrivalMs);
    this.#offset = this.#approach(target, mediaMs, arrivalMs);
    const least = (this.#last?.captureMs ?? Number.NEGATIVE_INFINITY) + MIN_STEP_MS;
    const captureTimeMs = Math.max(Math.min(mediaMs + this.#offset, arrivalMs), least);
    this.#last = { mediaMs, arrivalMs, captureMs: captureTimeMs };
    return { captureTimeMs, source };
  }

  /** What was known of the RTP clock is void when it broke off between the last frame and this. */
  #noticeBreak(mediaMs: number, arrivalMs: number): void {
    if (this.#last === null) {
      return;
    }
    const passedMs = mediaMs - this.#last.mediaMs;
    const stalled = arrivalMs - this.#last.arrivalMs - passedMs > STALL_MS;
    if (passedMs < -BACK_MS || stalled) {
      this.#reportOffset = null;
      this.#oldReports = 0;
      this.#absOffset = null;
      this.#offset = null;
      this.#arrivals.clear();
      this.#steps += 1;
    }
  }

  /** The best source that does not contradict the arrival. */
  #best(mediaMs: number, arrivalMs: number): Offset {
    const sane = (offset: number): boolean => {
      const ageMs = arrivalMs - (mediaMs + offset);
      return ageMs >= -FUTURE_MS && ageMs <= OLDEST_MS;
    };
    const report = this.#reportOffset;
    if (report === null || !sane(report)) {
      return { offset: this.#arrivals.value ?? arrivalMs - mediaMs, source: "arrival" };
    }
    const fresh = arrivalMs - this.#absAtMs < ABS_CAPTURE_FRESH_MS;
    if (fresh && this.#absOffset !== null) {
      if (Math.abs(this.#absOffset - report) <= AGREEMENT_MS && sane(this.#absOffset)) {
        return { offset: this.#absOffset, source: "absCaptureTime" };
      }
      this.#disagreements += 1;
    }
    return { offset: report, source: "senderReport" };
  }

  #approach(target: number, mediaMs: number, arrivalMs: number): number {
    if (this.#offset === null || this.#last === null) {
      return target;
    }
    const error = target - this.#offset;
    // With an RTP clock that leapt ahead the old offset leads past the arrival: it is void at once.
    if (error > STEP_MS || mediaMs + this.#offset > arrivalMs + FUTURE_MS) {
      this.#steps += 1;
      return target;
    }
    const passedMs = Math.max(0, mediaMs - this.#last.mediaMs);
    const most = passedMs * (Math.abs(error) > NEAR_MS ? FAST_SLEW_RATE : SLEW_RATE);
    return this.#offset + Math.max(-most, Math.min(most, error));
  }
}
