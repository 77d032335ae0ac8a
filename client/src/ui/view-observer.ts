import type { TileView } from "../protocol.ts";

/** Follows where tiles are on the screen, and at which size. */
export class ViewObserver {
  readonly #report: (tiles: TileView[]) => void;
  readonly #ids = new Map<Element, string>();
  readonly #tiles = new Map<string, TileView>();
  readonly #sizes: ResizeObserver;
  readonly #places: IntersectionObserver;

  /** @param report told after each change of anything, with all tiles */
  constructor(report: (tiles: TileView[]) => void) {
    this.#report = report;
    this.#sizes = new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) {
        const { devicePixelRatio: ratio } = window;
        const width = Math.round(contentRect.width * ratio);
        const height = Math.round(contentRect.height * ratio);
        this.#change(target, { width, height });
      }
      this.#tell();
    });
    // A picture that is about to be scrolled to is on its way before it is seen.
    this.#places = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          this.#change(target, { visible: isIntersecting });
        }
        this.#tell();
      },
      { rootMargin: "80px" },
    );
  }

  /** Returns what ends it. */
  observe(element: Element, participantId: string): () => void {
    this.#ids.set(element, participantId);
    this.#tiles.set(participantId, { participantId, visible: true, width: 0, height: 0 });
    this.#sizes.observe(element);
    this.#places.observe(element);
    return () => {
      this.#sizes.unobserve(element);
      this.#places.unobserve(element);
      this.#ids.delete(element);
      this.#tiles.delete(participantId);
      this.#tell();
    };
  }

  #change(element: Element, change: Partial<TileView>): void {
    const tile = this.#tiles.get(this.#ids.get(element) ?? "");
    if (tile !== undefined) this.#tiles.set(tile.participantId, { ...tile, ...change });
  }

  #tell(): void {
    this.#report([...this.#tiles.values()].filter(({ width }) => width > 0));
  }
}
