/**
 * The encoder's target: starts at the configured rate, gives way on reported loss, climbs back
 * slowly, and never passes a receiver's own estimate. Bounded on both sides.
 */

export interface BitrateControllerOptions {
  maxBps: number;
  /** Default 100 kbps: below it a 256x144 picture falls apart. */
  minBps?: number;
}

/** Loss above which the rate gives way, and below which it may climb. */
const LOSS_HIGH = 0.1;
const LOSS_LOW = 0.02;
const DECREASE = 0.85;
const INCREASE = 1.05;
/** The encoder is bothered at most once in this time. */
const INTERVAL_MS = 1000;

export class BitrateController {
  #maxBps: number;
  readonly #minBps: number;
  #targetBps: number;
  #ceilingBps = Number.POSITIVE_INFINITY;
  #lastChangeMs = Number.NEGATIVE_INFINITY;

  constructor({ maxBps, minBps = 100_000 }: BitrateControllerOptions) {
    this.#minBps = Math.min(minBps, maxBps);
    this.#maxBps = maxBps;
    this.#targetBps = maxBps;
  }

  get targetBps(): number {
    return this.#targetBps;
  }

  /** The configured rate changed; the target follows at once. */
  setMax(maxBps: number): number {
    this.#maxBps = maxBps;
    this.#targetBps = this.#bounded(maxBps);
    return this.#targetBps;
  }

  /** A receiver's estimate (REMB). Returns the new target, or null when it stays. */
  onEstimate(bps: number, nowMs: number): number | null {
    this.#ceilingBps = bps;
    return this.#targetBps > bps ? this.#change(bps, nowMs) : null;
  }

  /** Loss from a receiver report, 0 to 1. Returns the new target, or null when it stays. */
  onLoss(fraction: number, nowMs: number): number | null {
    if (fraction > LOSS_HIGH) {
      return this.#change(this.#targetBps * DECREASE, nowMs);
    }
    if (fraction < LOSS_LOW && this.#targetBps < this.#maxBps) {
      return this.#change(this.#targetBps * INCREASE, nowMs);
    }
    return null;
  }

  #change(bps: number, nowMs: number): number | null {
    const target = this.#bounded(bps);
    if (target === this.#targetBps || nowMs - this.#lastChangeMs < INTERVAL_MS) {
      return null;
    }
    this.#lastChangeMs = nowMs;
    this.#targetBps = target;
    return target;
  }

  #bounded(bps: number): number {
    return Math.round(Math.max(this.#minBps, Math.min(this.#maxBps, this.#ceilingBps, bps)));
  }
}
