/**
 * Arithmetic on counters that wrap: RTP sequence numbers (16 bits), timestamps (32 bits) and VP8
 * picture ids (15 bits).
 */

/** Turns a wrapping counter into one that keeps growing, by taking the value nearest to the last. */
export class Unwrapper {
  readonly #modulus: number;
  #last: number | undefined;

  /** @param bits width of the counter, 1 to 32 */
  constructor(bits: number) {
    this.#modulus = 2 ** bits;
  }

  /** The extended value of `value`; it becomes the new point of reference. */
  unwrap(value: number): number {
    const extended = this.near(value);
    this.#last = extended;
    return extended;
  }

  /** The extended value nearest to the last one, which stays the point of reference. */
  near(value: number): number {
    if (this.#last === undefined) {
      return value;
    }
    const half = this.#modulus / 2;
    const low = modulo(this.#last, this.#modulus);
    const step = modulo(value - low + half, this.#modulus) - half;
    return this.#last + step;
  }

  reset(): void {
    this.#last = undefined;
  }
}

/** Remainder that is never negative. */
export function modulo(value: number, modulus: number): number {
  return ((value % modulus) + modulus) % modulus;
}

/** Shortest signed way from one 16-bit sequence number to another, -32768 to 32767. */
export function sequenceDistance(from: number, to: number): number {
  return modulo(to - from + 0x8000, 0x10000) - 0x8000;
}
