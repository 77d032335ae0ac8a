/**
 * Converts between this process' monotonic clock and a wall clock: the one in which the SFU writes NTP
 * times (mediasoup takes the time of day once, at its start, and counts on from there), or this
 * machine's own. All waits, delays and capture times inside the engine are monotonic; NTP times of
 * sender reports and abs-capture-time, and times that people are told, pass through here.
 *
 * The other clock is seen in samples (for instance a report's NTP time and its arrival). Waiting on the way only
 * makes a sample smaller, so the largest of the recent ones is nearest to the truth. Near the
 * conversion in use it is slewed to, so that time neither leaps nor stands; far off it is adopted at
 * once, because a clock was set or a host slept.
 */

export interface ClockConverterOptions {
  /**
   * The guess until a sample comes: this machine's own wall clock minus the monotonic one. It stays
   * where the first samples are near it, because both are then the same clock.
   */
  offsetMs: number;
  /** Samples this far off are a step. Default 100: above the jitter of a link between machines. */
  stepMs?: number;
  /** Most change of the conversion a second while slewing. Default 20: no viewer sees it. */
  slewMsPerS?: number;
}

/** Samples that the conversion follows while it slews, at least and at most. */
const SAMPLES_MIN = 4;
const SAMPLES_MAX = 8;

export class ClockConverter {
  readonly #stepMs: number;
  readonly #slewMsPerS: number;
  #offsetMs: number;
  #samples: number[] = [];
  #seen = false;
  /** A sample that would put the clock back: it may only be a report that waited on its way. */
  #doubt: number | null = null;
  #lastAtMs = 0;
  #steps = 0;

  constructor({ offsetMs, stepMs = 100, slewMsPerS = 20 }: ClockConverterOptions) {
    this.#offsetMs = offsetMs;
    this.#stepMs = stepMs;
    this.#slewMsPerS = slewMsPerS;
  }

  /** What the other clock shows more than the monotonic one. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** How often the conversion leapt. */
  get steps(): number {
    return this.#steps;
  }

  toWallMs(monoMs: number): number {
    return monoMs + this.#offsetMs;
  }

  toMonoMs(wallMs: number): number {
    return wallMs - this.#offsetMs;
  }

  /** The other clock showed `wallMs` in a message that arrived at `monoMs`. */
  observe(wallMs: number, monoMs: number): void {
    const sample = wallMs - monoMs;
    const passedMs = this.#seen ? Math.max(0, monoMs - this.#lastAtMs) : 0;
    this.#lastAtMs = monoMs;
    if (this.#isStep(sample)) {
      this.#stepTo(sample);
      return;
    }
    this.#seen = true;
    if (this.#doubt !== null) {
      return;
    }
    this.#samples.push(sample);
    if (this.#samples.length > SAMPLES_MAX) {
      this.#samples.shift();
    }
    if (this.#samples.length >= SAMPLES_MIN) {
      const most = (this.#slewMsPerS * passedMs) / 1000;
      const error = Math.max(...this.#samples) - this.#offsetMs;
      this.#offsetMs += Math.max(-most, Math.min(most, error));
    }
  }

  /** Forward at once, as nothing arrives before it is sent; backward when a second sample agrees. */
  #isStep(sample: number): boolean {
    const error = sample - this.#offsetMs;
    const before = this.#doubt;
    this.#doubt = null;
    if (Math.abs(error) <= this.#stepMs) {
      return false;
    }
    if (error > 0 || !this.#seen) {
      return true;
    }
    if (before !== null && Math.abs(sample - before) <= this.#stepMs) {
      return true;
    }
    this.#doubt = sample;
    return false;
  }

  #stepTo(sample: number): void {
    this.#offsetMs = sample;
    this.#samples = [sample];
    this.#seen = true;
    this.#doubt = null;
    this.#steps += 1;
  }
}
