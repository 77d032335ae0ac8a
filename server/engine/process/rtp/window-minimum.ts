/** The least of the values of the last moments, without keeping them all. */

const SLICES = 8;

/** Times monotonic. Bounded: one value for each eighth of the window. */
export class WindowMinimum {
  readonly #sliceMs: number;
  #slices: { index: number; least: number }[] = [];

  constructor(windowMs: number) {
    this.#sliceMs = windowMs / SLICES;
  }

  /** Null while there is none. */
  get value(): number | null {
    return this.#slices.length === 0 ? null : Math.min(...this.#slices.map(({ least }) => least));
  }

  add(value: number, atMs: number): void {
    const index = Math.floor(atMs / this.#sliceMs);
    const last = this.#slices.at(-1);
    if (last !== undefined && last.index >= index) {
      last.least = Math.min(last.least, value);
    } else {
      this.#slices.push({ index, least: value });
    }
    const newest = this.#slices.at(-1)?.index ?? index;
    this.#slices = this.#slices.filter((slice) => slice.index > newest - SLICES);
  }

  clear(): void {
    this.#slices = [];
  }
}
