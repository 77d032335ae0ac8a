/**
 * When to restart a crashed engine: quickly at first, later more patiently, and after three crashes
 * in a minute not for a while, because a fourth would only burn the machine.
 */

export interface RestartPolicyOptions {
  /** Wait before the first restart; doubles with each further crash of the window. Default 100. */
  firstDelayMs?: number;
  /** Crashes within `windowMs` that end the attempts for `coolDownMs`. Default 3. */
  maxCrashes?: number;
  /** Default one minute. */
  windowMs?: number;
  /** Default one minute. */
  coolDownMs?: number;
}

export interface RestartDecision {
  delayMs: number;
  /** The limit was reached: the wait is the cool-down, and the operator should be told. */
  gaveUp: boolean;
}

export class RestartPolicy {
  readonly #firstDelayMs: number;
  readonly #maxCrashes: number;
  readonly #windowMs: number;
  readonly #coolDownMs: number;
  #crashes: number[] = [];

  constructor(options: RestartPolicyOptions = {}) {
    this.#firstDelayMs = options.firstDelayMs ?? 100;
    this.#maxCrashes = options.maxCrashes ?? 3;
    this.#windowMs = options.windowMs ?? 60_000;
    this.#coolDownMs = options.coolDownMs ?? 60_000;
  }

  /** Notes a crash at `nowMs` (monotonic) and says how long to wait. */
  onCrash(nowMs: number): RestartDecision {
    this.#crashes = this.#crashes.filter((at) => nowMs - at < this.#windowMs);
    this.#crashes.push(nowMs);
    if (this.#crashes.length >= this.#maxCrashes) {
      this.#crashes = [];
      return { delayMs: this.#coolDownMs, gaveUp: true };
    }
    return { delayMs: this.#firstDelayMs * 2 ** (this.#crashes.length - 1), gaveUp: false };
  }
}
