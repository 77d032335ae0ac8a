/** Bounds on how often one address or one connection may ask for something. */
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { DriftlessError } from "../errors.ts";

export class RateLimit {
  readonly #limiter: RateLimiterMemory;
  readonly #what: string;

  /** @param what plural, for the message: "requests", "messages". */
  constructor(what: string, points: number, perSeconds: number) {
    this.#what = what;
    this.#limiter = new RateLimiterMemory({ points, duration: perSeconds });
  }

  /** @throws DriftlessError RATE_LIMITED with the time to wait. */
  async take(key: string): Promise<void> {
    try {
      await this.#limiter.consume(key);
    } catch (refused) {
      if (!(refused instanceof RateLimiterRes)) throw refused;
      throw tooMany(this.#what, Math.ceil(refused.msBeforeNext / 1000));
    }
  }
}

/** Lets `burst` things through at once and `perMinute` in the long run: a token bucket, for one person. */
export class TokenBucket {
  readonly #what: string;
  readonly #perMinute: number;
  readonly #burst: number;
  readonly #nowMs: () => number;
  #tokens: number;
  #atMs: number;

  /**
   * @param what plural, for the message: "changes of the prompt".
   * @param nowMs a monotonic clock.
   */
  constructor(
    what: string,
    limits: { perMinute: number; burst: number },
    nowMs: () => number = () => performance.now(),
  ) {
    this.#what = what;
    this.#perMinute = limits.perMinute;
    this.#burst = limits.burst;
    this.#nowMs = nowMs;
    this.#tokens = limits.burst;
    this.#atMs = nowMs();
  }

  /** @throws DriftlessError RATE_LIMITED with the time to wait. */
  take(): void {
    const nowMs = this.#nowMs();
    const gained = ((nowMs - this.#atMs) / 60_000) * this.#perMinute;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    this.#atMs = nowMs;
    if (this.#tokens < 1) {
      const seconds = Math.ceil(((1 - this.#tokens) / this.#perMinute) * 60);
      throw tooMany(this.#what, seconds);
    }
    this.#tokens--;
  }
}

function tooMany(what: string, seconds: number): DriftlessError {
  return new DriftlessError("RATE_LIMITED", `Too many ${what}. Try again in ${seconds} s.`);
}
