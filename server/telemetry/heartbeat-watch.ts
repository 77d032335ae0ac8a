/**
 * Measures how long a process has been silent. Time in which this process itself did not run is
 * not held against the other one: on a busy machine both stop at once.
 */
export class HeartbeatWatch {
  readonly #limitMs: number;
  readonly #checkEveryMs: number;
  #lastCheckMs: number | null = null;
  #silentMs = 0;

  /**
   * @param limitMs silence after which the process counts as dead
   * @param checkEveryMs how often `check` will be called
   */
  constructor(limitMs: number, checkEveryMs: number) {
    this.#limitMs = limitMs;
    this.#checkEveryMs = checkEveryMs;
  }

  /** Something was heard. */
  beat(): void {
    this.#silentMs = 0;
  }

  /** @param nowMs monotonic. @returns whether the silence has become too long */
  check(nowMs: number): boolean {
    const passedMs = this.#lastCheckMs === null ? 0 : nowMs - this.#lastCheckMs;
    this.#lastCheckMs = nowMs;
    this.#silentMs += Math.min(passedMs, 2 * this.#checkEveryMs);
    return this.#silentMs >= this.#limitMs;
  }
}
