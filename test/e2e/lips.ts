/**
 * Lip sync, measured: somebody publishes flashes and beeps that begin together, and the page of
 * somebody who watches says when each was seen and heard.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { percentile } from "./support/delay.ts";
import { observed, offsets, startProbe } from "./support/lips-probe.ts";
import type { Person, TestBrowser } from "./support/screen.ts";

/**
 * At 24 frames a second: a flash of 250 ms each 3.5 s. A voice that is later than half of that would be
 * taken for an early one.
 */
export const FLASH = { everyFrames: 84, frames: 6 };
const FLASH_EVERY_MS = (FLASH.everyFrames * 1000) / 24;
/** Flash and beep further apart than this cannot be told from those of the next time. */
const REACH_MS = FLASH_EVERY_MS / 2;
/** A part of four flashes. */
const SHORTEST_SECONDS = 14;
const STYLE = "Neon night";
/** What people do not notice (ITU-R BT.1359-1: from 45 ms ahead to 125 ms behind). */
const NOTICED_MS = 125;

/** The picture's lag behind the voice in one part of the run, ms; negative: ahead of it. */
export interface Offsets {
  samples: number;
  p50: number | null;
  p95: number | null;
  /** The largest, by its distance from 0. */
  worst: number | null;
  /** From the change until it stays within 125 ms; null: it never did. */
  settledAfterMs: number | null;
}

export interface LipReport {
  browser: string;
  /** The look is on, and nothing has changed for a while: p50 and p95 of the distance from 0. */
  avOffsetMs: Offsets;
  original: Offsets;
  afterOn: Offsets;
  /** After the number of denoising steps went from 1 to 4. */
  afterDelayChange: Offsets;
  afterOff: Offsets;
}

export interface LipOptions {
  origin: string;
  publishing: TestBrowser;
  watching: TestBrowser;
  /** Length of the settled part; each other part takes 0.6 of it. */
  seconds: number;
  say(line: string): void;
}

/** Runs all parts. Throws where the settled part shows no flash with a beep. */
export async function measureLips(options: LipOptions): Promise<LipReport> {
  const { origin, publishing, watching, seconds, say } = options;
  const publisher = await publishing.join(origin, { name: "Publisher", roomId: "lips" });
  const viewer = await watching.join(origin, { name: "Viewer", roomId: "lips", devices: false });
  await startProbe(viewer.page);
  // The first pictures and the receiver's own first adjustments.
  await sleep(4000);
  const short = Math.max(0.6 * seconds, SHORTEST_SECONDS);
  const part = async (name: string, lengthSeconds: number): Promise<Offsets> => {
    const found = await watchPart(viewer, lengthSeconds * 1000);
    say(`${name.padEnd(18)} ${describe(found)}`);
    return found;
  };
  const original = await part("original", short);
  await publisher.chooseStyle(STYLE);
  const afterOn = await part("after on", short);
  await viewer.waitForGenerated();
  await sleep(4000);
  const settled = await part("settled", seconds);
  if (settled.samples === 0) {
    const { flashes, beeps } = await observed(viewer.page);
    throw new Error(
      `expected flashes with beeps, got ${flashes.length} flashes and ${beeps.length} beeps in all`,
    );
  }
  await publisher.chooseSteps(4);
  const afterDelayChange = await part("after delay change", short);
  await publisher.showOriginal();
  const afterOff = await part("after off", short);
  return {
    browser: watching.name,
    avOffsetMs: settled,
    original,
    afterOn,
    afterDelayChange,
    afterOff,
  };
}

async function watchPart(viewer: Person, lengthMs: number): Promise<Offsets> {
  const { nowMs: beginMs } = await observed(viewer.page);
  await sleep(lengthMs);
  // The last flash's beep may come after it.
  await sleep(REACH_MS);
  const seen = await observed(viewer.page);
  const endMs = beginMs + lengthMs;
  const inside = offsets(seen, REACH_MS).filter(({ atMs }) => atMs >= beginMs && atMs < endMs);
  return summarize(inside, beginMs);
}

/** Exported for its test. */
export function summarize(
  inside: readonly { atMs: number; offsetMs: number }[],
  beginMs: number,
): Offsets {
  if (inside.length === 0) {
    return { samples: 0, p50: null, p95: null, worst: null, settledAfterMs: null };
  }
  const values = inside.map(({ offsetMs }) => offsetMs);
  const distances = values.map(Math.abs);
  const worst = values.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
  const lastBad = inside.findLastIndex(({ offsetMs }) => Math.abs(offsetMs) > NOTICED_MS);
  const settled = inside[lastBad + 1];
  return {
    samples: values.length,
    p50: Math.round(percentile(values, 0.5)),
    p95: Math.round(percentile(distances, 0.95)),
    worst: Math.round(worst),
    settledAfterMs:
      lastBad < 0 ? 0 : settled === undefined ? null : Math.round(settled.atMs - beginMs),
  };
}

function describe(o: Offsets): string {
  const settled = o.settledAfterMs === null ? "never" : `after ${o.settledAfterMs} ms`;
  return `picture behind the voice p50 ${o.p50} ms, p95 of the distance ${o.p95} ms, worst ${o.worst} ms, within ${NOTICED_MS} ms ${settled} (${o.samples} flashes)`;
}
