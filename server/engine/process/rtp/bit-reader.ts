/** Bits of a header, most significant first. Past the end it reads zeros and says so. */
export class BitReader {
  readonly #data: Uint8Array;
  #at = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
  }

  /** Whether more was read than there is: then what was read means nothing. */
  get overrun(): boolean {
    return this.#at > this.#data.length * 8;
  }

  /** @param count 1 to 32 */
  read(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i += 1) {
      const byte = this.#data[this.#at >> 3] ?? 0;
      value = value * 2 + ((byte >> (7 - (this.#at & 7))) & 1);
      this.#at += 1;
    }
    return value;
  }

  /** ue(v): Exp-Golomb code (ITU-T H.264, 9.1), at most 2^16-2; larger ones count as overrun. */
  readExpGolomb(): number {
    let zeros = 0;
    while (this.read(1) === 0) {
      zeros += 1;
      if (zeros > 16) {
        this.#at = this.#data.length * 8 + 1;
        return 0;
      }
    }
    return zeros === 0 ? 0 : 2 ** zeros - 1 + this.read(zeros);
  }
}
