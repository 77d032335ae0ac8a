import { setTimeout as sleep } from "node:timers/promises";
import { type Frame, GENERATED, meanDifference, meanFrame, takeFrames } from "./frames.ts";
import type { Screen } from "./screen.ts";

/** How far a viewer's picture moved after a change of the look, in mean difference per pixel. */
export interface LookChange {
  /** From before the change to after it. */
  byPrompt: number;
  /** Between two moments of the same look: what the person's motion does. */
  byItself: number;
  /** From the change to the first clearly different picture; null when there was none in time. */
  tookMs: number | null;
}

/** A look that moved less than this could be motion; 255 is black to white. */
const VISIBLE = 6;

/**
 * Measures how the viewer's generated picture answers to `change`. Waits for the picture to move,
 * because a busy machine takes its time, but for `limitMs` at most.
 */
export async function lookChange(
  viewer: Screen,
  change: () => Promise<void>,
  limitMs: number,
): Promise<LookChange> {
  const before = await meanLook(viewer);
  const still = await meanLook(viewer);
  const own = meanDifference(before, still);
  const changedAtMs = Date.now();
  await change();
  let tookMs: number | null = null;
  while (tookMs === null && Date.now() - changedAtMs < limitMs) {
    await sleep(300);
    const [now] = await takeFrames(viewer, GENERATED, 1, 0);
    if (now !== undefined && meanDifference(still, now) > VISIBLE + 2 * own) {
      tookMs = Date.now() - changedAtMs;
    }
  }
  // The memory of the earlier look fades over a few chunks.
  await sleep(3_000);
  const after = await meanLook(viewer);
  const afterwards = await meanLook(viewer);
  return {
    byPrompt: meanDifference(still, after),
    byItself: Math.max(own, meanDifference(after, afterwards)),
    tookMs,
  };
}

/** True for a change that nobody could take for motion. */
export function isClear({ byPrompt, byItself }: LookChange): boolean {
  return byPrompt > VISIBLE && byPrompt > 2 * byItself;
}

async function meanLook(viewer: Screen): Promise<Frame> {
  return meanFrame(await takeFrames(viewer, GENERATED, 8, 150));
}
