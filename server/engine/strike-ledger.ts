/**
 * Who was to blame for engine crashes, and when. One for all engines, by owner: who publishes anew,
 * or is tried alone, does not begin without a past.
 */

export interface StrikeLedgerOptions {
  /** Age at which a strike is forgotten. Default ten minutes. */
  memoryMs?: number;
  /** Owners that are remembered; the ones heard of longest ago are forgotten first. Default 1000. */
  maxOwners?: number;
}

export class StrikeLedger {
  readonly #memoryMs: number;
  readonly #maxOwners: number;
  /** Times of strikes; the owner with the newest one is last. */
  readonly #strikes = new Map<string, number[]>();

  constructor(options: StrikeLedgerOptions = {}) {
    this.#memoryMs = options.memoryMs ?? 600_000;
    this.#maxOwners = options.maxOwners ?? 1000;
  }

  /** Adds one at `nowMs` (monotonic). @returns how many count now */
  add(owner: string, nowMs: number): number {
    const strikes = [...this.#recent(owner, nowMs), nowMs];
    this.#strikes.delete(owner);
    this.#strikes.set(owner, strikes);
    for (const oldest of this.#strikes.keys()) {
      if (this.#strikes.size <= this.#maxOwners) {
        break;
      }
      this.#strikes.delete(oldest);
    }
    return strikes.length;
  }

  /** How many count at `nowMs`. */
  count(owner: string, nowMs: number): number {
    return this.#recent(owner, nowMs).length;
  }

  #recent(owner: string, nowMs: number): number[] {
    return (this.#strikes.get(owner) ?? []).filter((at) => nowMs - at < this.#memoryMs);
  }
}
