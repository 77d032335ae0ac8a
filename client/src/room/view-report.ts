/** Tells the server at which size each tile is seen: it decides layers, and what flows at all. */
import type { TileView } from "../protocol.ts";

/** Layout changes in bursts: one message for each. */
const COLLECT_MS = 150;
const RETRY_MS = 1_000;
/** A tile that grows or shrinks by less gets the same layer anyway. */
const CHANGE_SHARE = 0.1;

/** Whether the server should hear of the change. */
export function viewChanged(before: readonly TileView[], after: readonly TileView[]): boolean {
  if (before.length !== after.length) return true;
  const known = new Map(before.map((tile) => [tile.participantId, tile]));
  return after.some((tile) => {
    const old = known.get(tile.participantId);
    if (old === undefined || old.visible !== tile.visible) return true;
    return tile.visible && (differs(old.width, tile.width) || differs(old.height, tile.height));
  });
}

function differs(before: number, after: number): boolean {
  return Math.abs(after - before) > CHANGE_SHARE * before;
}

export class ViewReport {
  readonly #send: (tiles: TileView[]) => Promise<unknown>;
  #wanted: TileView[] | null = null;
  #told: readonly TileView[] | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /** @param send the message `view:set`; a rejection is tried again */
  constructor(send: (tiles: TileView[]) => Promise<unknown>) {
    this.#send = send;
  }

  set(tiles: TileView[]): void {
    this.#wanted = tiles;
    this.#schedule(COLLECT_MS);
  }

  /** The server may have forgotten: says it again. */
  repeat(): void {
    this.#told = null;
    this.#schedule(COLLECT_MS);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#flush(), delayMs);
  }

  async #flush(): Promise<void> {
    const tiles = this.#wanted;
    if (tiles === null || (this.#told !== null && !viewChanged(this.#told, tiles))) return;
    const before = this.#told;
    this.#told = tiles;
    try {
      await this.#send(tiles);
    } catch {
      // Away, or refused for the moment: everything is seen at full size until it is told.
      if (this.#told === tiles) this.#told = before;
      this.#schedule(RETRY_MS);
    }
  }
}
