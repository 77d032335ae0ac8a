/**
 * How long a gap is worth waiting for. The engine sits behind the SFU: its own round trip is next to
 * nothing, but what the camera's network lost comes only after the camera's round trip, when the SFU
 * has asked the camera for it. So the wait follows how late gaps were in fact filled.
 */

export interface RepairTimesOptions {
  /** Least wait: the engine's own requests to the SFU fit into it three times. Default 200. */
  minWaitMs?: number;
  /**
   * Most that a gap is waited for, whatever was measured. Default 700: two attempts at a round trip
   * of 300 ms. A wait holds the picture still, but so does the other way out: a key frame costs a
   * round trip as well, and all frames until it comes.
   */
  maxWaitMs?: number;
}

/** A gap filled sooner was reordering: nobody had to send anything again. */
const REORDERING_MS = 20;
/** Repairs that count: the newest, and none older than this. */
const SAMPLES = 32;
const FRESH_MS = 30_000;
/** Share of the repairs that the wait for a single attempt covers. */
const PERCENTILE = 0.9;
/** The SFU and the camera ask and answer in steps of timers (mediasoup: 40 ms), twice. */
const MARGIN_MS = 80;
/** So many gaps in a row that nobody filled: repairs do not work here. */
const HOPELESS_GAPS = 3;
/** So many repairs decide whether they come in time at all. */
const FUTILE_SAMPLES = 4;
/** The wait between two requests of the engine's own for a packet. */
const RETRY_UNKNOWN_MS = 100;
const RETRY_LEAST_MS = 50;
const RETRY_MARGIN_MS = 10;

interface Repair {
  tookMs: number;
  atMs: number;
  /** It came after the gap was given up: what made this happen must be covered next time. */
  late: boolean;
}

/** All times monotonic. */
export class RepairTimes {
  readonly #minWaitMs: number;
  readonly #maxWaitMs: number;
  #repairs: Repair[] = [];
  #roundTripMs: number | null = null;
  #unrepairedInARow = 0;

  constructor({ minWaitMs = 200, maxWaitMs = 700 }: RepairTimesOptions = {}) {
    this.#maxWaitMs = maxWaitMs;
    this.#minWaitMs = Math.min(minWaitMs, maxWaitMs);
  }

  /** What is known of the round trip between the SFU and the camera; null: nothing. */
  setRoundTrip(roundTripMs: number | null): void {
    this.#roundTripMs = roundTripMs;
  }

  /** A missing packet came `tookMs` after it was missed; `late`: when the gap was given up already. */
  onRepair(tookMs: number, nowMs: number, late: boolean): void {
    if (tookMs < REORDERING_MS) {
      return;
    }
    this.#unrepairedInARow = 0;
    this.#repairs.push({ tookMs, atMs: nowMs, late });
    if (this.#repairs.length > SAMPLES) {
      this.#repairs.shift();
    }
  }

  /** A gap was given up. A packet of it that comes nevertheless is told by onRepair. */
  onGivenUp(): void {
    this.#unrepairedInARow += 1;
  }

  /**
   * How long to wait for a missing packet. Before anything was measured it is the most: given up too
   * early, a gap costs a key frame and all frames before it; waited for in vain, it costs half a
   * second once, and teaches.
   */
  waitMs(nowMs: number): number {
    const recent = this.#fresh(nowMs);
    const last = recent.slice(-FUTILE_SAMPLES);
    const futile =
      last.length === FUTILE_SAMPLES && last.every(({ tookMs }) => tookMs > this.#maxWaitMs);
    if (futile || this.#unrepairedInARow >= HOPELESS_GAPS) {
      return this.#minWaitMs;
    }
    const attemptMs = this.#attemptMs(recent);
    // Twice, as the packet that repairs may be lost like any other.
    const waitMs = attemptMs === null ? this.#maxWaitMs : 2 * attemptMs + MARGIN_MS;
    return Math.max(this.#minWaitMs, Math.min(this.#maxWaitMs, waitMs));
  }

  /**
   * After this a repair is overdue: a key frame that is there already is the better way out. Unknown,
   * none ever is.
   */
  overdueMs(nowMs: number): number {
    const waitMs = this.waitMs(nowMs);
    const attemptMs = this.#attemptMs(this.#fresh(nowMs));
    return attemptMs === null ? waitMs : Math.min(attemptMs + RETRY_MARGIN_MS, waitMs);
  }

  /** The interval at which to ask again for a packet: longer than its usual way. */
  retryMs(nowMs: number): number {
    const attemptMs = this.#attemptMs(this.#fresh(nowMs));
    return attemptMs === null
      ? RETRY_UNKNOWN_MS
      : Math.max(RETRY_LEAST_MS, Math.min(attemptMs + RETRY_MARGIN_MS, this.#maxWaitMs));
  }

  /** Time that one attempt takes, null while unknown. */
  #attemptMs(recent: readonly Repair[]): number | null {
    const sorted = recent.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
    const percentile = sorted[Math.ceil(sorted.length * PERCENTILE) - 1];
    const late = recent
      .filter((repair) => repair.late && repair.tookMs <= this.#maxWaitMs)
      .map(({ tookMs }) => tookMs);
    const known = [this.#roundTripMs, percentile ?? null, ...late].filter((ms) => ms !== null);
    return known.length === 0 ? null : Math.max(...known);
  }

  #fresh(nowMs: number): Repair[] {
    this.#repairs = this.#repairs.filter(({ atMs }) => nowMs - atMs <= FRESH_MS);
    return this.#repairs;
  }
}
