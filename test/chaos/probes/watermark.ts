/**
 * Tells whether a picture shows the chequered room of test/chaos/support/clip.ts, whatever a look
 * has made of its colours: the pattern's correlation with brightness and with green against magenta.
 */

/** The wall is a grid of so many blocks over the whole picture. */
export const BLOCKS_ACROSS = 16;
export const BLOCKS_DOWN = 9;
/** Columns of blocks on each side that are wall; between them is the person. */
export const ROOM_COLUMNS = 4;
/** Size that pictures are looked at in: four pixels a block. */
export const LOOK_WIDTH = BLOCKS_ACROSS * 4;
export const LOOK_HEIGHT = BLOCKS_DOWN * 4;

/** A picture with more of the pattern than this shows the room. */
const SEEN = 0.45;
/** Deviation of 0 to 255 below which there is nothing to see in a surface. */
const FLAT = 3;

/** -1 to 1: how much of the room's pattern is in a picture of LOOK_WIDTH x LOOK_HEIGHT RGB. */
export function patternOf(rgb: Uint8Array): number {
  const expected: number[] = [];
  const brightness: number[] = [];
  const green: number[] = [];
  for (let y = 0; y < LOOK_HEIGHT; y += 1) {
    for (let x = 0; x < LOOK_WIDTH; x += 1) {
      const column = Math.floor(x / 4);
      if (column >= ROOM_COLUMNS && column < BLOCKS_ACROSS - ROOM_COLUMNS) continue;
      // The middle of a block: its edges are soft.
      if (x % 4 === 0 || x % 4 === 3 || y % 4 === 0 || y % 4 === 3) continue;
      expected.push((column + Math.floor(y / 4)) % 2 === 0 ? -1 : 1);
      const at = (y * LOOK_WIDTH + x) * 3;
      const [r = 0, g = 0, b = 0] = rgb.subarray(at, at + 3);
      brightness.push(0.299 * r + 0.587 * g + 0.114 * b);
      green.push(g - (r + b) / 2);
    }
  }
  return [brightness, green]
    .map((values) => correlation(expected, values))
    .reduce((best, each) => (Math.abs(each) > Math.abs(best) ? each : best), 0);
}

export function showsRoom(rgb: Uint8Array): boolean {
  return Math.abs(patternOf(rgb)) > SEEN;
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((s, v) => s + v, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    const da = (a[i] ?? 0) - meanA;
    const db = (b[i] ?? 0) - meanB;
    ab += da * db;
    aa += da * da;
    bb += db * db;
  }
  return Math.sqrt(bb / b.length) < FLAT ? 0 : ab / Math.sqrt(aa * bb);
}
