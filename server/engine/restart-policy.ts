/**
 * When to restart a crashed engine. A crash with sessions in it is soon mended: people wait, and who
 * of them is to blame is found and taken elsewhere (suspicion.ts). An engine that crashes with nobody
 * in it is broken itself: the attempts become rarer, and go on for ever.
 */

export interface RestartPolicyOptions {
  /** Wait before the first restart; doubles with each further crash. Default 100. */
  firstDelayMs?: number;
  /** Most that people in the engine wait. Default 400. */
  maxDelayMs?: number;
  /** Most that an engine rests which crashes with nobody in it. Default one minute. */
  maxRestMs?: number;
  /** Crashes further apart than this have nothing to do with each other. Default one minute. */
  windowMs?: number;
}

export interface RestartDecision {
  delayMs: number;
  /** It is broken itself, as far as can be seen: the operator should be told. */
  resting: boolean;
}

/** Crashes without anybody in the engine, from which on it rests. */
const RESTS_FROM = 3;

export class RestartPolicy {
  readonly #firstDelayMs: number;
  readonly #maxDelayMs: number;
  readonly #maxRestMs: number;
  readonly #windowMs: number;
  #crashes = 0;
  #emptyCrashes = 0;
  #readyMs = Number.NEGATIVE_INFINITY;

  constructor(options: RestartPolicyOptions = {}) {
    this.#firstDelayMs = options.firstDelayMs ?? 100;
    this.#maxDelayMs = options.maxDelayMs ?? 400;
    this.#maxRestMs = options.maxRestMs ?? 60_000;
    this.#windowMs = options.windowMs ?? 60_000;
  }

  /** The engine runs since `nowMs` (monotonic). */
  onReady(nowMs: number): void {
    this.#readyMs = nowMs;
  }

  /**
   * Notes a crash at `nowMs` (monotonic) and says how long to wait.
   * @param sessions those that were in the engine; 0 also while it loaded
   */
  onCrash(nowMs: number, sessions: number): RestartDecision {
    if (nowMs - this.#readyMs >= this.#windowMs && Number.isFinite(this.#readyMs)) {
      this.#crashes = 0;
      this.#emptyCrashes = 0;
    }
    this.#readyMs = Number.NEGATIVE_INFINITY;
    this.#crashes += 1;
    this.#emptyCrashes = sessions > 0 ? 0 : this.#emptyCrashes + 1;
    const empty = this.#emptyCrashes > 0;
    const count = empty ? this.#emptyCrashes : this.#crashes;
    const mostMs = empty ? this.#maxRestMs : this.#maxDelayMs;
    const delayMs = Math.min(mostMs, this.#firstDelayMs * 2 ** Math.min(count - 1, 30));
    return { delayMs, resting: this.#emptyCrashes >= RESTS_FROM };
  }
}
