/**
 * Collects wishes for a key frame and says when to send a request: at once for the first, then
 * patiently again until a key frame came. Used towards the camera (as PLI) and, with `once`,
 * towards our own encoder.
 */

export interface KeyFrameRequesterOptions {
  /** Least time between two requests. Default 300. */
  minIntervalMs?: number;
  /** Ask again after this while no key frame came. Default 1000: mediasoup lets one a second by. */
  repeatMs?: number;
}

export class KeyFrameRequester {
  readonly #minIntervalMs: number;
  readonly #repeatMs: number;
  #reason: string | null = null;
  #lastSentMs = Number.NEGATIVE_INFINITY;
  #sentForThis = false;

  constructor({ minIntervalMs = 300, repeatMs = 1000 }: KeyFrameRequesterOptions = {}) {
    this.#minIntervalMs = minIntervalMs;
    this.#repeatMs = repeatMs;
  }

  /** A key frame is wanted. Wishes before the next key frame are one wish. */
  request(reason: string): void {
    if (this.#reason === null) {
      this.#reason = reason;
      this.#sentForThis = false;
    }
  }

  /** A key frame came: all wishes are fulfilled. */
  satisfied(): void {
    this.#reason = null;
  }

  /** The reason to send a request now, or null. Each answer counts as sent. */
  due(nowMs: number): string | null {
    if (this.#reason === null) {
      return null;
    }
    const wait = this.#sentForThis ? this.#repeatMs : this.#minIntervalMs;
    if (nowMs - this.#lastSentMs < wait) {
      return null;
    }
    this.#lastSentMs = nowMs;
    this.#sentForThis = true;
    return this.#reason;
  }
}
