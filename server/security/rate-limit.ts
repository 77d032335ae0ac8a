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

function tooMany(what: string, seconds: number): DriftlessError {
  return new DriftlessError("RATE_LIMITED", `Too many ${what}. Try again in ${seconds} s.`);
}
