/** How many sessions an engine takes, and which limit says so. Pure: numbers in, a number out. */

/** `maxSessions` the configured number, `memory` the plan, `compute` the measured speed. */
export type PlaceLimit = "maxSessions" | "memory" | "compute";

export interface AdmissionFigures {
  /** Configured for the engine. */
  maxSessions: number;
  /** By plan: what may be taken (0: no limit), what the model takes, and what each session takes. */
  memory: { limitBytes: number; modelBytes: number; sessionBytes: number } | null;
  /** Sessions in the engine, those reserved included. */
  used: number;
  /** Measured lately; null while nothing was. */
  compute: ComputeFigures | null;
}

export interface ComputeFigures {
  /** Sessions that were computing when it was measured, at least 1. */
  sessions: number;
  /** A batch of the model with them. */
  batchMs: number;
  /** A batch with one session, where that was measured too: the rest is what company costs. */
  aloneMs: number | null;
  /** Within which a batch has to be ready: the strictest of the sessions' budgets. */
  delayBudgetMs: number;
  /** Share of the sessions' chunks that missed their budget, of whoever missed most. */
  lateShare: number;
}

export interface EnginePlaces {
  /** Never below `used`: who is in is not thrown out. */
  total: number;
  limit: PlaceLimit;
}

/** @returns the places of an engine: the least that one of the limits leaves */
export function placesOf(figures: AdmissionFigures): EnginePlaces {
  const { maxSessions, memory, used, compute } = figures;
  let least: EnginePlaces = { total: maxSessions, limit: "maxSessions" };
  if (memory !== null && memory.limitBytes > 0 && memory.sessionBytes > 0) {
    const free = Math.max(0, memory.limitBytes - memory.modelBytes);
    least = smaller(least, { total: Math.floor(free / memory.sessionBytes), limit: "memory" });
  }
  if (compute !== null) {
    least = smaller(least, { total: sessionsInTime(compute), limit: "compute" });
  }
  return { ...least, total: Math.max(used, least.total) };
}

/** Above it the engine has too many already. */
const LATE_SHARE = 0.2;

function smaller(a: EnginePlaces, b: EnginePlaces): EnginePlaces {
  return b.total < a.total ? b : a;
}

/**
 * The largest number of sessions whose batch keeps the budget. What a further one adds is taken from
 * the difference to a session alone; where that is unknown, as much as each has now, so that the
 * promise to those who are in is the last to break.
 */
function sessionsInTime(figures: ComputeFigures): number {
  const { sessions, batchMs, aloneMs, delayBudgetMs, lateShare } = figures;
  if (lateShare > LATE_SHARE) {
    // Sessions whose batches take turns are late although each batch is short.
    return sessions;
  }
  const known = aloneMs !== null && sessions > 1;
  const stepMs = known ? Math.max(0, (batchMs - aloneMs) / (sessions - 1)) : batchMs / sessions;
  if (stepMs <= 0) {
    return batchMs <= delayBudgetMs ? Number.POSITIVE_INFINITY : sessions;
  }
  return sessions + Math.max(0, Math.floor((delayBudgetMs - batchMs) / stepMs));
}
