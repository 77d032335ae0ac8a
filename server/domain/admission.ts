/**
 * Who gets a place in an engine, and who waits for one. Places are reserved before anything is
 * started, so that two starts at once cannot take the same one. Pure: engines tell how many places
 * there are, and are told nothing.
 */
import { DriftlessError } from "../errors.ts";
import type { QueuePlace } from "./transform-state.ts";

/** One who wants a place. */
export interface Claim {
  /** Participant id. */
  id: string;
  roomId: string;
  identity: string;
  /** Network address. */
  address: string;
  /** Live rooms go before those who only try a look. */
  priority: "live" | "preview";
}

export interface AdmissionLimits {
  /** 0: none of its own. */
  perRoom: number;
  perIdentity: number;
  perAddress: number;
  /** Those who may wait; 0: who finds no place is refused at once. */
  queueLength: number;
}

export type AdmissionResult = "admitted" | "queued";

interface Holder {
  claim: Claim;
  sinceMs: number;
}

/** Weight of the newest place that was given back in the mean time of holding. */
const SMOOTHING = 0.3;

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #nowMs: () => number;
  readonly #holders = new Map<string, Holder>();
  /** In the order in which they will be served. */
  #queue: Claim[] = [];
  #places = 0;
  #meanHoldMs: number | undefined;
  /** Called with those who got a place, and after that with those whose position changed. */
  onAdmitted: (id: string) => void = () => {};
  onMoved: (id: string) => void = () => {};

  /** @param nowMs monotonic */
  constructor(limits: AdmissionLimits, nowMs: () => number) {
    this.#limits = limits;
    this.#nowMs = nowMs;
  }

  get used(): number {
    return this.#holders.size;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /** All places of all engines that could be used now. */
  setPlaces(places: number): void {
    this.#places = places;
    this.#serve();
  }

  /**
   * Takes a place or a position in the line. Who has either keeps it.
   * @throws DriftlessError ENGINE_FULL that names the limit
   */
  request(claim: Claim): AdmissionResult {
    if (this.#holders.has(claim.id)) return "admitted";
    if (this.#queue.some(({ id }) => id === claim.id)) return "queued";
    this.#checkShares(claim);
    if (this.#queue.length === 0 && this.#holders.size < this.#places) {
      this.#admit(claim);
      return "admitted";
    }
    if (this.#queue.length >= this.#limits.queueLength) {
      throw new DriftlessError(
        "ENGINE_FULL",
        this.#limits.queueLength === 0
          ? `All ${this.#places} places for repainted cameras are taken (engine.maxSessions).`
          : `All ${this.#places} places are taken and ${this.#queue.length} people wait (limits.transformQueue).`,
      );
    }
    this.#enqueue(claim);
    return "queued";
  }

  /** Gives a place or a position back. */
  release(id: string): void {
    const holder = this.#holders.get(id);
    if (holder !== undefined) {
      this.#holders.delete(id);
      const heldMs = this.#nowMs() - holder.sinceMs;
      const mean = this.#meanHoldMs;
      this.#meanHoldMs = mean === undefined ? heldMs : mean + SMOOTHING * (heldMs - mean);
    }
    const before = this.#queue.findIndex((claim) => claim.id === id);
    if (before >= 0) {
      this.#queue.splice(before, 1);
      this.#tellFrom(before);
    }
    this.#serve();
  }

  /** Back into the line, in front: the engine had no place after all. */
  putBack(id: string): void {
    const holder = this.#holders.get(id);
    if (holder === undefined) return;
    this.#holders.delete(id);
    // In front of its own kind only: who tries a look does not go before live rooms by it.
    const index = holder.claim.priority === "live" ? 0 : this.#firstPreview();
    this.#queue.splice(index, 0, holder.claim);
    this.#tellFrom(index);
  }

  /** Where one stands in the line; null for one who does not wait. */
  placeOf(id: string): QueuePlace | null {
    const index = this.#queue.findIndex((claim) => claim.id === id);
    if (index < 0) return null;
    const mean = this.#meanHoldMs;
    // With n places one becomes free every n-th part of the time for which they are held.
    const seconds =
      mean === undefined || this.#places === 0
        ? null
        : Math.round((mean * (index + 1)) / this.#places / 1000);
    return { position: index + 1, estimatedWaitSeconds: seconds };
  }

  #checkShares(claim: Claim): void {
    const { perRoom, perIdentity, perAddress } = this.#limits;
    const all = [...[...this.#holders.values()].map((holder) => holder.claim), ...this.#queue];
    const check = (limit: number, key: "roomId" | "identity" | "address", words: string) => {
      if (limit === 0 || all.filter((other) => other[key] === claim[key]).length < limit) return;
      throw new DriftlessError("ENGINE_FULL", `${words}: ${limit} at a time.`);
    };
    check(perRoom, "roomId", "This room's places for repainted cameras are taken");
    check(perIdentity, "identity", "You have as many repainted cameras as one person may");
    check(perAddress, "address", "Your network has as many repainted cameras as one may");
  }

  #admit(claim: Claim): void {
    this.#holders.set(claim.id, { claim, sinceMs: this.#nowMs() });
  }

  #enqueue(claim: Claim): void {
    // Behind all of the same or a higher priority.
    const index = claim.priority === "live" ? this.#firstPreview() : this.#queue.length;
    this.#queue.splice(index, 0, claim);
    this.#tellFrom(index + 1);
  }

  #firstPreview(): number {
    const index = this.#queue.findIndex(({ priority }) => priority === "preview");
    return index < 0 ? this.#queue.length : index;
  }

  #serve(): void {
    const admitted: Claim[] = [];
    while (this.#queue.length > 0 && this.#holders.size < this.#places) {
      const claim = this.#queue.shift() as Claim;
      this.#admit(claim);
      admitted.push(claim);
    }
    for (const { id } of admitted) this.onAdmitted(id);
    if (admitted.length > 0) this.#tellFrom(0);
  }

  #tellFrom(index: number): void {
    for (const { id } of this.#queue.slice(index)) this.onMoved(id);
  }
}
