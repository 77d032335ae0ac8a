/** Where the tiles are: pure geometry in CSS pixels. */

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export interface Layout {
  /** In the order of the tiles. */
  boxes: Box[];
  /** Height of all of it; more than the stage's means that it scrolls. */
  height: number;
}

export interface Stage {
  width: number;
  /** 0: the page scrolls, and the stage is as high as its tiles. */
  height: number;
  gap: number;
}

/** More people than this are not all large at once: the others are reached by scrolling. */
export const MAX_LARGE = 9;
/** Width of a small tile that still shows a face and a name. */
const SMALL_WIDTH = 200;
/** Share of the stage's height that the speaker gets. */
const SPEAKER_SHARE = 0.62;
/** Taller tiles than this, in widths of the stage, would hide everything else on a phone. */
const MAX_PHONE_HEIGHT = 1.15;

/**
 * Places tiles that keep the aspects (width by height) of their pictures.
 * @param speaker index of the tile that is large in a big room; null for a grid of equals
 */
export function arrange(
  aspects: readonly number[],
  stage: Stage,
  speaker: number | null = null,
): Layout {
  if (stage.width <= 0 || aspects.length === 0) return { boxes: aspects.map(nowhere), height: 0 };
  if (stage.height <= 0) return column(aspects, stage, speaker);
  if (aspects.length <= MAX_LARGE) return allInSight(aspects, stage);
  if (speaker === null) return rows(aspects, stage, (stage.height - 2 * stage.gap) / 3);
  return withSpeaker(aspects, stage, speaker, stage.height * SPEAKER_SHARE);
}

/**
 * Whether a picture's aspect changed so much that its tile should: layers of one picture differ
 * by a rounded pixel.
 */
export function aspectChanged(before: number, after: number): boolean {
  return Math.abs(after - before) > 0.04 * before;
}

/** All in rows of one height, as large as the stage allows, centred. */
function allInSight(aspects: readonly number[], { width, height, gap }: Stage): Layout {
  let best: { rowHeight: number; counts: number[] } = { rowHeight: 0, counts: [aspects.length] };
  for (let count = 1; count <= aspects.length; count += 1) {
    const counts = partition(aspects, count, width, gap);
    const byHeight = (height - gap * (count - 1)) / count;
    const rowHeight = Math.min(byHeight, narrowest(aspects, counts, width, gap));
    if (rowHeight > best.rowHeight) best = { rowHeight, counts };
  }
  const layout = place(aspects, best.counts, Math.floor(best.rowHeight), width, gap);
  const shift = Math.max(0, Math.floor((height - layout.height) / 2));
  return { boxes: layout.boxes.map((box) => ({ ...box, top: box.top + shift })), height };
}

/** Rows of one given height, as many as it takes. */
function rows(aspects: readonly number[], stage: Stage, rowHeight: number): Layout {
  const { width, gap } = stage;
  const height = Math.floor(Math.min(rowHeight, width / Math.max(...aspects)));
  const counts: number[] = [];
  let used = Number.POSITIVE_INFINITY;
  for (const aspect of aspects) {
    const needed = aspect * height;
    if (used + gap + needed > width) {
      counts.push(1);
      used = needed;
    } else {
      counts[counts.length - 1] = (counts.at(-1) ?? 0) + 1;
      used += gap + needed;
    }
  }
  return place(aspects, counts, height, width, gap);
}

/** One large tile above rows of small ones. */
function withSpeaker(
  aspects: readonly number[],
  stage: Stage,
  speaker: number,
  speakerHeight: number,
): Layout {
  // The full width, whatever the picture's shape: nothing moves when somebody else speaks, and what
  // scrolls below it does not show beside it.
  const height = Math.floor(speakerHeight);
  const large = { left: 0, top: 0, width: stage.width, height };
  const others = aspects.filter((_, index) => index !== speaker);
  const columns = Math.max(2, Math.round(stage.width / SMALL_WIDTH));
  const small = (stage.width - stage.gap * (columns - 1)) / columns;
  const rest = rows(others, stage, small / (16 / 9));
  const offset = height + stage.gap;
  const boxes = rest.boxes.map((box) => ({ ...box, top: box.top + offset }));
  boxes.splice(speaker, 0, large);
  return { boxes, height: offset + rest.height };
}

/** A narrow page that scrolls: below each other, and in two columns when there are many. */
function column(aspects: readonly number[], stage: Stage, speaker: number | null): Layout {
  const { width, gap } = stage;
  if (aspects.length > MAX_LARGE && speaker !== null) {
    const aspect = aspects[speaker] ?? 16 / 9;
    return withSpeaker(aspects, stage, speaker, width * Math.min(1 / aspect, MAX_PHONE_HEIGHT));
  }
  if (aspects.length > 4) return rows(aspects, stage, (width - gap) / 2 / (16 / 9));
  let top = 0;
  const boxes = aspects.map((aspect) => {
    const limit = width * MAX_PHONE_HEIGHT;
    const fits = width / aspect <= limit;
    const height = Math.floor(fits ? width / aspect : limit);
    const tile = fits ? width : Math.floor(limit * aspect);
    const box = { left: Math.floor((width - tile) / 2), top, width: tile, height };
    top += height + gap;
    return box;
  });
  return { boxes, height: top - gap };
}

/** Splits tiles into rows so that the fullest row is as little full as possible. */
function partition(
  aspects: readonly number[],
  count: number,
  width: number,
  gap: number,
): number[] {
  const natural = (from: number, to: number): number => {
    const sum = aspects.slice(from, to).reduce((total, each) => total + each, 0);
    return (width - gap * (to - from - 1)) / sum;
  };
  // best[i]: for the first i tiles in the rows so far, the height that all rows can have.
  let best = aspects.map((_, index) => natural(0, index + 1));
  const starts: number[][] = [];
  for (let row = 1; row < count; row += 1) {
    const next: number[] = [];
    const start: number[] = [];
    for (let to = 0; to < aspects.length; to += 1) {
      let found = { height: 0, from: 0 };
      // A short last row looks better than a short first one: later starts win ties.
      for (let from = row; from <= to; from += 1) {
        const height = Math.min(best[from - 1] ?? 0, natural(from, to + 1));
        if (height >= found.height) found = { height, from };
      }
      next.push(found.height);
      start.push(found.from);
    }
    best = next;
    starts.push(start);
  }
  const counts: number[] = [];
  let end = aspects.length;
  for (const start of starts.reverse()) {
    const from = start[end - 1] ?? 0;
    counts.unshift(end - from);
    end = from;
  }
  counts.unshift(end);
  return counts;
}

/** The largest height at which every row fits into the width. */
function narrowest(
  aspects: readonly number[],
  counts: readonly number[],
  width: number,
  gap: number,
): number {
  let from = 0;
  let smallest = Number.POSITIVE_INFINITY;
  for (const count of counts) {
    const sum = aspects.slice(from, from + count).reduce((total, each) => total + each, 0);
    smallest = Math.min(smallest, (width - gap * (count - 1)) / sum);
    from += count;
  }
  return smallest;
}

function place(
  aspects: readonly number[],
  counts: readonly number[],
  height: number,
  width: number,
  gap: number,
): Layout {
  const boxes: Box[] = [];
  let from = 0;
  let top = 0;
  for (const count of counts) {
    const row = aspects.slice(from, from + count).map((aspect) => Math.floor(aspect * height));
    const used = row.reduce((sum, each) => sum + each, 0) + gap * (count - 1);
    let left = Math.floor((width - used) / 2);
    for (const tile of row) {
      boxes.push({ left, top, width: tile, height });
      left += tile + gap;
    }
    from += count;
    top += height + gap;
  }
  return { boxes, height: top - gap };
}

function nowhere(): Box {
  return { left: 0, top: 0, width: 0, height: 0 };
}
