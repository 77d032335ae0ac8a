/** What an engine's sessions report of its speed, quietened: a busy moment refuses nobody. */
import type { ComputeFigures } from "./admission.ts";
import type { SessionProgress } from "./protocol.ts";

/** Reports of a session that are looked at: five seconds. */
const REPORTS = 10;

interface Report {
  batchMs: number;
  chunks: number;
  lateChunks: number;
}

export class ComputeWatch {
  readonly #budgetsMs = new Map<string, number>();
  readonly #reports = new Map<string, Report[]>();
  #aloneMs: number | null = null;

  /** A session is in the engine. */
  add(sessionId: string, delayBudgetMs: number): void {
    this.#budgetsMs.set(sessionId, delayBudgetMs);
    // What was measured without it says nothing any more.
    this.#reports.clear();
  }

  remove(sessionId: string): void {
    if (this.#budgetsMs.delete(sessionId)) {
      this.#reports.clear();
    }
  }

  /** The engine is gone; its sessions will be added again. */
  clear(): void {
    this.#budgetsMs.clear();
    this.#reports.clear();
  }

  report({ sessionId, batchMs, deadlines }: SessionProgress): void {
    // Zero while frames only pass through.
    if (!this.#budgetsMs.has(sessionId) || batchMs.measured <= 0) {
      return;
    }
    const lateChunks = deadlines.waited + deadlines.slow + deadlines.replaced;
    const chunks = deadlines.inTime + lateChunks;
    const report = { batchMs: batchMs.measured, chunks, lateChunks };
    const reports = [...(this.#reports.get(sessionId) ?? []), report].slice(-REPORTS);
    this.#reports.set(sessionId, reports);
    if (this.#budgetsMs.size === 1 && reports.length === REPORTS) {
      this.#aloneMs = quickestMs(reports);
    }
  }

  /** Null until the sessions of now have computed together for a while. */
  get figures(): ComputeFigures | null {
    const settled = [...this.#reports.values()].filter(({ length }) => length === REPORTS);
    if (settled.length === 0) {
      return null;
    }
    return {
      sessions: settled.length,
      batchMs: Math.max(...settled.map(quickestMs)),
      aloneMs: this.#aloneMs,
      delayBudgetMs: Math.min(...this.#budgetsMs.values()),
      lateShare: Math.max(...settled.map(lateShare)),
    };
  }
}

function quickestMs(reports: readonly Report[]): number {
  return Math.min(...reports.map(({ batchMs }) => batchMs));
}

function lateShare(reports: readonly Report[]): number {
  const chunks = (reports.at(-1)?.chunks ?? 0) - (reports[0]?.chunks ?? 0);
  const late = (reports.at(-1)?.lateChunks ?? 0) - (reports[0]?.lateChunks ?? 0);
  return chunks > 0 ? late / chunks : 0;
}
