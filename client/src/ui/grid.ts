/** Rows and columns of a grid of tiles, and the width of a tile in pixels. */
export interface Grid {
  columns: number;
  tileWidth: number;
}

/**
 * The grid that makes `count` tiles of 16:9 largest in a box of `width` x `height` pixels with
 * `gap` pixels between tiles. A box without height (a scrolling page) gets one column.
 */
export function bestGrid(count: number, width: number, height: number, gap: number): Grid {
  let best: Grid = { columns: 1, tileWidth: width };
  if (height <= 0 || count === 0) return best;
  best = { columns: 1, tileWidth: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const byWidth = (width - gap * (columns - 1)) / columns;
    const byHeight = ((height - gap * (rows - 1)) / rows) * (16 / 9);
    const tileWidth = Math.floor(Math.min(byWidth, byHeight));
    if (tileWidth > best.tileWidth) best = { columns, tileWidth };
  }
  return best;
}
