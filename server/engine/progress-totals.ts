/** Turns the running totals of progress reports into additions to counters. */
import type { EngineMetrics } from "./metrics.ts";
import type { SessionProgress } from "./protocol.ts";

type Outcome = keyof SessionProgress["deadlines"];
type Correction = keyof SessionProgress["driftCorrections"];

export class ProgressTotals {
  readonly #metrics: EngineMetrics;
  readonly #before = new Map<string, SessionProgress>();

  constructor(metrics: EngineMetrics) {
    this.#metrics = metrics;
  }

  add(progress: SessionProgress): void {
    const before = this.#before.get(progress.sessionId);
    this.#before.set(progress.sessionId, progress);
    const { engineFrames, engineChunks, driftCorrections, engineDrops } = this.#metrics;
    const { stageMs, batchMs, transformDelayMs } = this.#metrics;
    engineFrames.inc({ direction: "in" }, grown(progress.framesIn, before?.framesIn));
    engineFrames.inc({ direction: "out" }, grown(progress.framesOut, before?.framesOut));
    for (const [outcome, total] of Object.entries(progress.deadlines)) {
      engineChunks.inc({ outcome }, grown(total, before?.deadlines[outcome as Outcome]));
    }
    for (const [what, total] of Object.entries(progress.driftCorrections)) {
      driftCorrections.inc({ what }, grown(total, before?.driftCorrections[what as Correction]));
    }
    for (const [reason, total] of Object.entries(progress.drops)) {
      engineDrops.inc({ reason }, grown(total, before?.drops[reason]));
    }
    if (progress.delayMs !== null) {
      transformDelayMs.observe(progress.delayMs.p50);
      for (const [stage, ms] of Object.entries(progress.stageMs)) {
        stageMs.observe({ stage }, ms);
      }
      // Zero while frames only pass through.
      if (progress.batchMs.expected > 0) {
        batchMs.observe({ kind: "measured" }, progress.batchMs.measured);
        batchMs.observe({ kind: "expected" }, progress.batchMs.expected);
      }
    }
  }

  /** The session is over. */
  forget(sessionId: string): void {
    this.#before.delete(sessionId);
  }

  /** The process is over: all totals start from zero again. */
  forgetAll(): void {
    this.#before.clear();
  }
}

function grown(now: number, before: number | undefined): number {
  return Math.max(0, now - (before ?? 0));
}
