/**
 * Decides which missing packets to ask for again, and when. Each one is asked for a few times, and
 * where too many are missing a key frame is cheaper than repairs.
 */

export interface NackGeneratorOptions {
  /** Wait before the first request, so that mere reordering causes none. Default 10. */
  firstDelayMs?: number;
  /** Wait between requests for the same packet. Default 50: above a usual local round trip. */
  retryMs?: number;
  /** Most requests for one packet. Default 10, as mediasoup does: the jitter buffer gives up before. */
  maxTries?: number;
  /** With more packets missing than this, none is asked for. Default 100. */
  maxMissing?: number;
}

interface Pending {
  nextAtMs: number;
  tries: number;
}

export class NackGenerator {
  readonly #firstDelayMs: number;
  readonly #retryMs: number;
  readonly #maxTries: number;
  readonly #maxMissing: number;
  #pending = new Map<number, Pending>();

  constructor(options: NackGeneratorOptions = {}) {
    this.#firstDelayMs = options.firstDelayMs ?? 10;
    this.#retryMs = options.retryMs ?? 50;
    this.#maxTries = options.maxTries ?? 10;
    this.#maxMissing = options.maxMissing ?? 100;
  }

  /**
   * Given what is missing now (extended sequence numbers), tells what to ask for at `nowMs`.
   * `hopeless`: too much is missing, ask for a key frame instead.
   * @param retryMs wait between requests for the same packet; default: that of the options
   */
  due(
    missing: readonly number[],
    nowMs: number,
    retryMs = this.#retryMs,
  ): { sequences: number[]; hopeless: boolean } {
    if (missing.length > this.#maxMissing) {
      this.#pending.clear();
      return { sequences: [], hopeless: true };
    }
    const pending = new Map<number, Pending>();
    const sequences: number[] = [];
    for (const sequence of missing) {
      const state = this.#pending.get(sequence) ?? {
        nextAtMs: nowMs + this.#firstDelayMs,
        tries: 0,
      };
      if (nowMs >= state.nextAtMs && state.tries < this.#maxTries) {
        state.tries += 1;
        state.nextAtMs = nowMs + retryMs;
        sequences.push(sequence);
      }
      pending.set(sequence, state);
    }
    // What arrived or was given up is forgotten by not being carried over.
    this.#pending = pending;
    return { sequences, hopeless: false };
  }
}
