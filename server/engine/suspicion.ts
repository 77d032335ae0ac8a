/**
 * Whom to suspect when an engine crashes with sessions in it, and in which order they come back.
 *
 * After a crash those who are above suspicion come back first, all at once; then the others in
 * groups, each when the group before it has settled (has shown frames and outlived them for a
 * moment). A crash while a group is settling means that somebody of that group is to blame: it comes
 * back in halves. So a stream that crashes at once is found in a few crashes, and whoever has
 * settled before it loses no more than the restarts. The black box's trace (black-box.ts) decides
 * who is tried last, alone; it is a guess, so it only orders.
 *
 * A session gets a strike for a crash when it alone was settling, or when everybody had settled and
 * it was served last. Enough of them convict (strike-ledger.ts). An engine that was killed from
 * outside (which may be the system, for want of memory) puts nobody under suspicion who had settled.
 */
import { type EngineTrace, NO_TRACE } from "./link/engine-link.ts";
import type { StrikeLedger } from "./strike-ledger.ts";

export interface SuspicionOptions {
  /** How long a session has to go on after its first frame. Default 300. */
  settleMs?: number;
  /** After which a session counts as settled although it has no frame (a muted camera). Default 2000. */
  patienceMs?: number;
  /** Strikes that convict. Default 2. */
  strikes?: number;
}

/** Strikes for which a session is tried alone. */
export const STRIKES_TO_QUARANTINE = 2;

export interface NextOpening {
  /** To be opened now; each will be reported by opened(), deferred() or forget(). */
  open: readonly string[];
  /** Monotonic time at which to ask again at the latest; null when nobody waits for time to pass. */
  againAtMs: number | null;
}

interface Presence {
  /** Null while it is being opened. */
  openedMs: number | null;
  firstFrameMs: number | null;
}

export class Suspicion {
  readonly #ledger: StrikeLedger;
  readonly #settleMs: number;
  readonly #patienceMs: number;
  readonly #limit: number;
  readonly #present = new Map<string, Presence>();
  readonly #owners = new Map<string, string>();
  /** Who is to come back, group by group. */
  #waiting: string[][] = [];

  constructor(ledger: StrikeLedger, options: SuspicionOptions = {}) {
    this.#ledger = ledger;
    this.#settleMs = options.settleMs ?? 300;
    this.#patienceMs = options.patienceMs ?? 2000;
    this.#limit = options.strikes ?? STRIKES_TO_QUARANTINE;
  }

  /** Sessions that are in the engine, or on their way into it. */
  get present(): number {
    return this.#present.size;
  }

  /** Its opening begins without that next() asked for it. @param owner whom strikes belong to */
  opening(id: string, owner: string): void {
    this.#owners.set(id, owner);
    this.#present.set(id, { openedMs: null, firstFrameMs: null });
  }

  /** Its opening succeeded. */
  opened(id: string, nowMs: number): void {
    this.#present.set(id, { openedMs: nowMs, firstFrameMs: null });
  }

  /** Its opening failed and will be tried again later: the others need not wait. */
  deferred(id: string): void {
    this.#present.delete(id);
  }

  /** It shows frames. */
  framed(id: string, nowMs: number): void {
    const presence = this.#present.get(id);
    if (presence !== undefined) {
      presence.firstFrameMs ??= nowMs;
    }
  }

  /** It is to be opened when all others have settled, by itself. */
  join(id: string, owner: string): void {
    this.#owners.set(id, owner);
    this.#waiting.push([id]);
  }

  /** It is gone for good, or to another engine. */
  forget(id: string): void {
    this.#present.delete(id);
    this.#owners.delete(id);
    this.#waiting = this.#waiting.map((group) => group.filter((other) => other !== id));
    this.#waiting = this.#waiting.filter((group) => group.length > 0);
  }

  /**
   * The engine crashed.
   * @param trace what it did last; null: somebody ended it from outside
   * @returns the session that has to leave this engine, if one is convicted: forget() it
   */
  crashed(nowMs: number, trace: EngineTrace | null): string | null {
    const present = [...this.#present.keys()];
    const settling = present.filter((id) => !this.#hasSettled(id, nowMs));
    this.#present.clear();
    if (trace === null && settling.length === 0) {
      this.#waiting = [present, ...this.#waiting].filter((group) => group.length > 0);
      return null;
    }
    const suspects = inOrder(settling.length > 0 ? settling : present, trace ?? NO_TRACE);
    const prime = suspects.at(-1);
    if (prime === undefined) {
      return null;
    }
    const trusted = present.filter((id) => !suspects.includes(id));
    // While a group is settling, halving finds the one in it; else the trace is all there is.
    const cut = settling.length > 0 ? Math.ceil(suspects.length / 2) : suspects.length - 1;
    const groups = [trusted, suspects.slice(0, cut), suspects.slice(cut), ...this.#waiting];
    this.#waiting = groups.filter((group) => group.length > 0);
    const named = suspects.length === 1 || settling.length === 0;
    if (!named) {
      return null;
    }
    const strikes = this.#ledger.add(this.#owners.get(prime) ?? prime, nowMs);
    return strikes >= this.#limit ? prime : null;
  }

  /** Who may be opened now in a running engine. */
  next(nowMs: number): NextOpening {
    const [group, ...others] = this.#waiting;
    if (group === undefined) {
      return { open: [], againAtMs: null };
    }
    const settledAt = [...this.#present.keys()].map((id) => this.#settledAtMs(id));
    const freeAtMs = Math.max(Number.NEGATIVE_INFINITY, ...settledAt);
    if (freeAtMs > nowMs) {
      return { open: [], againAtMs: Number.isFinite(freeAtMs) ? freeAtMs : null };
    }
    this.#waiting = others;
    for (const id of group) {
      this.#present.set(id, { openedMs: null, firstFrameMs: null });
    }
    return { open: group, againAtMs: null };
  }

  #hasSettled(id: string, nowMs: number): boolean {
    return this.#settledAtMs(id) <= nowMs;
  }

  #settledAtMs(id: string): number {
    const { openedMs, firstFrameMs } = this.#present.get(id) ?? {};
    if (openedMs === null || openedMs === undefined) {
      return Number.POSITIVE_INFINITY;
    }
    const patient = openedMs + this.#patienceMs;
    return Math.min(patient, (firstFrameMs ?? Number.POSITIVE_INFINITY) + this.#settleMs);
  }
}

/** The least suspect first: who was not served lately, then by how long ago. */
function inOrder(ids: readonly string[], { inCall, recent }: EngineTrace): string[] {
  const age = (id: string): number => {
    const place = recent.indexOf(id);
    return id === inCall ? -1 : place < 0 ? Number.POSITIVE_INFINITY : place;
  };
  return [...ids].sort((a, b) => (age(a) === age(b) ? 0 : age(b) - age(a)));
}
