/** Sliding windows for progress reports: percentiles of a value, and events a second. */

interface Sample {
  atMs: number;
  value: number;
}

/** Values of the last seconds, bounded in number. */
export class ValueWindow {
  readonly #windowMs: number;
  readonly #capacity: number;
  #samples: Sample[] = [];

  constructor({ windowMs = 5000, capacity = 512 } = {}) {
    this.#windowMs = windowMs;
    this.#capacity = capacity;
  }

  add(value: number, nowMs: number): void {
    this.#samples.push({ atMs: nowMs, value });
    if (this.#samples.length > this.#capacity) {
      this.#samples.shift();
    }
  }

  /** Median and 95th percentile (nearest rank), or null when the window is empty. */
  percentiles(nowMs: number): { p50: number; p95: number } | null {
    const sorted = this.#fresh(nowMs).sort((a, b) => a - b);
    const at = (share: number): number =>
      sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0;
    return sorted.length === 0 ? null : { p50: at(0.5), p95: at(0.95) };
  }

  /** Mean of the window, 0 when it is empty. */
  mean(nowMs: number): number {
    const values = this.#fresh(nowMs);
    return values.length === 0 ? 0 : values.reduce((sum, v) => sum + v, 0) / values.length;
  }

  #fresh(nowMs: number): number[] {
    this.#samples = this.#samples.filter((sample) => nowMs - sample.atMs <= this.#windowMs);
    return this.#samples.map((sample) => sample.value);
  }
}

const MOST_RATE_SAMPLES = 512;

/** Amount a second over the last seconds: frames (add 1 each) or bits. */
export class RateMeter {
  readonly #windowMs: number;
  #samples: Sample[] = [];
  #startedAtMs: number | null = null;

  constructor({ windowMs = 2000 } = {}) {
    this.#windowMs = windowMs;
  }

  add(amount: number, nowMs: number): void {
    this.#startedAtMs ??= nowMs;
    const last = this.#samples.at(-1);
    // Bounded whatever the rate: what happens in the same few milliseconds is one sample.
    if (last !== undefined && nowMs - last.atMs < this.#windowMs / MOST_RATE_SAMPLES) {
      last.value += amount;
      return;
    }
    this.#samples.push({ atMs: nowMs, value: amount });
    if (this.#samples.length > MOST_RATE_SAMPLES) {
      this.#samples.shift();
    }
  }

  /** 0 before the first; a stream younger than the window is not underrated. */
  perSecond(nowMs: number): number {
    if (this.#startedAtMs === null) {
      return 0;
    }
    this.#samples = this.#samples.filter((sample) => nowMs - sample.atMs < this.#windowMs);
    const sum = this.#samples.reduce((total, sample) => total + sample.value, 0);
    const spanMs = Math.min(this.#windowMs, Math.max(500, nowMs - this.#startedAtMs));
    return (sum * 1000) / spanMs;
  }
}

/** Counters by reason, for everything that is dropped. */
export class DropCounters {
  readonly #counts = new Map<string, number>();

  add(reason: string, amount = 1): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + amount);
  }

  toRecord(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }
}
