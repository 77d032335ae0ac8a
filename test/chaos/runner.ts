/** Runs cases one after the other and tells what came of each. */
import { engineKilled } from "./cases/engine-killed.ts";
import { hiddenLooks } from "./cases/hidden-looks.ts";
import { keyFrameStorm } from "./cases/key-frame-storm.ts";
import { malformed } from "./cases/malformed.ts";
import { networkCut } from "./cases/network-cut.ts";
import { poison } from "./cases/poison.ts";
import { sigterm } from "./cases/sigterm.ts";
import { wallClock } from "./cases/wall-clock.ts";
import { workerKilled } from "./cases/worker-killed.ts";
import { abandonAll } from "./support/call.ts";
import type { CaseContext, CaseResult, ChaosCase } from "./support/types.ts";

export const CASES: readonly ChaosCase[] = [
  ...[engineKilled, workerKilled, networkCut, wallClock, malformed],
  ...[keyFrameStorm, poison, hiddenLooks, sigterm],
];

/** The end of a server that did not start is many lines; the first tell why. */
const MAX_NOTE_CHARS = 400;

/** A case that fails or hangs is a result like any other. */
export async function runCase(each: ChaosCase, context: CaseContext): Promise<CaseResult> {
  const limitMs = each.limitMs(context.short);
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no result within ${limitMs} ms`)), limitMs);
  });
  try {
    return { name: each.name, ...(await Promise.race([each.run(context), limit])) };
  } catch (error) {
    await abandonAll();
    const note = (error instanceof Error ? error.message : String(error)).slice(0, MAX_NOTE_CHARS);
    return {
      ...{ name: each.name, tried: 0, longestGapMs: null, rawFrames: 0, renegotiations: 0 },
      ...{ leaked: 0, ok: false, notes: [note] },
    };
  } finally {
    clearTimeout(timer);
  }
}

/** The table for people. */
export function formatTable(results: readonly CaseResult[]): string {
  const head = ["case", "tried", "longest gap", "raw frames", "new tracks", "leaked", ""];
  const rows = results.map((r) => [
    ...[r.name, String(r.tried), r.longestGapMs === null ? "-" : `${r.longestGapMs} ms`],
    ...[String(r.rawFrames), String(r.renegotiations), String(r.leaked)],
    r.ok ? "ok" : "FAILED",
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]?.length ?? 0)));
  const line = (row: string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)));
  const notes = results.flatMap((r) => r.notes.map((note) => `  ${r.name}: ${note}`));
  return [...[head, ...rows].map((row) => line(row).join("  ")), ...notes].join("\n");
}
