/**
 * Puts packets back into order. What is missing is waited for, but never longer than `maxWaitMs`:
 * then the gap is given up and the packet behind it is marked, so that the frame assembler looks
 * for the next decodable frame. Bounded in time and in packets.
 */
import { sequenceDistance, Unwrapper } from "./sequence.ts";

/** A video packet, reduced to what later stages need. */
export interface VideoPacket {
  /** 16-bit sequence number as received. */
  sequence: number;
  /** 32-bit RTP timestamp as received. */
  timestamp: number;
  marker: boolean;
  /** Empty for padding-only packets: they fill the sequence and carry nothing. */
  payload: Buffer;
  /** Unix ms. */
  arrivalMs: number;
  /** From abs-capture-time where the packet carries it, Unix ms. */
  captureMs: number | null;
}

export interface ReleasedPacket {
  packet: VideoPacket;
  /** Packets before this one are lost for good. */
  afterGap: boolean;
}

export type InsertResult = "accepted" | "duplicate" | "late" | "jump" | "overflow";

export interface JitterBufferOptions {
  /** Longest wait for a missing packet. Default 200: more would be seen as delay by viewers. */
  maxWaitMs?: number;
  /** Most packets held. Default 1024: 200 ms of 40 Mbps video. */
  maxPackets?: number;
}

/** A sequence number this far from the expected one means that the sender started anew. */
const JUMP = 3000;

interface Entry {
  packet: VideoPacket;
  insertedAtMs: number;
}

export class JitterBuffer {
  readonly #maxWaitMs: number;
  readonly #maxPackets: number;
  readonly #entries = new Map<number, Entry>();
  readonly #unwrapper = new Unwrapper(16);
  #next: number | undefined;
  #highest = 0;
  #afterGap = true;
  #jumpCandidate: number | undefined;

  constructor({ maxWaitMs = 200, maxPackets = 1024 }: JitterBufferOptions = {}) {
    this.#maxWaitMs = maxWaitMs;
    this.#maxPackets = maxPackets;
  }

  /** Packets held at the moment. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Takes a packet in. `nowMs` is a monotonic time, the same that `release` gets. Everything but
   * "accepted" means that the packet was dropped, for the named reason.
   */
  insert(packet: VideoPacket, nowMs: number): InsertResult {
    if (this.#next === undefined) {
      this.#start(packet.sequence);
    }
    const extended = this.#unwrapper.near(packet.sequence);
    const next = this.#next ?? extended;
    if (Math.abs(extended - next) > JUMP && !this.#isConfirmedJump(packet.sequence)) {
      return "jump";
    }
    return this.#insertAt(this.#unwrapper.near(packet.sequence), packet, nowMs);
  }

  /** Hands out every packet that is in order, and gives up gaps that are too old. */
  release(nowMs: number): ReleasedPacket[] {
    const released: ReleasedPacket[] = [];
    while (this.#next !== undefined && this.#entries.size > 0) {
      const entry = this.#entries.get(this.#next);
      if (entry === undefined) {
        if (!this.#giveUpGap(nowMs)) {
          break;
        }
        continue;
      }
      this.#entries.delete(this.#next);
      released.push({ packet: entry.packet, afterGap: this.#afterGap });
      this.#afterGap = false;
      this.#next += 1;
    }
    return released;
  }

  /** Extended sequence numbers that are awaited: holes before the newest packet. */
  missing(): number[] {
    const missing: number[] = [];
    if (this.#next === undefined || this.#entries.size === 0) {
      return missing;
    }
    for (let sequence = this.#next; sequence < this.#highest; sequence += 1) {
      if (!this.#entries.has(sequence)) {
        missing.push(sequence);
      }
    }
    return missing;
  }

  #start(sequence: number): void {
    this.#entries.clear();
    this.#unwrapper.reset();
    this.#next = this.#unwrapper.unwrap(sequence);
    this.#highest = this.#next;
    this.#afterGap = true;
    this.#jumpCandidate = undefined;
  }

  /** A far jump is believed when a second packet follows it (RFC 3550, appendix A.1). */
  #isConfirmedJump(sequence: number): boolean {
    const candidate = this.#jumpCandidate;
    if (candidate === undefined || sequenceDistance(candidate, sequence) !== 1) {
      this.#jumpCandidate = sequence;
      return false;
    }
    this.#start(sequence);
    return true;
  }

  #insertAt(extended: number, packet: VideoPacket, nowMs: number): InsertResult {
    this.#jumpCandidate = undefined;
    if (this.#next !== undefined && extended < this.#next) {
      return "late";
    }
    if (this.#entries.has(extended)) {
      return "duplicate";
    }
    if (this.#entries.size >= this.#maxPackets) {
      return "overflow";
    }
    this.#entries.set(extended, { packet, insertedAtMs: nowMs });
    if (extended > this.#highest) {
      this.#highest = this.#unwrapper.unwrap(packet.sequence);
    }
    return "accepted";
  }

  /** Moves on to the first held packet if it, or the whole buffer, has waited long enough. */
  #giveUpGap(nowMs: number): boolean {
    const first = Math.min(...this.#entries.keys());
    let oldest = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.values()) {
      oldest = Math.min(oldest, entry.insertedAtMs);
    }
    const waited = nowMs - oldest >= this.#maxWaitMs;
    if (!waited && this.#entries.size < this.#maxPackets) {
      return false;
    }
    this.#next = first;
    this.#afterGap = true;
    return true;
  }
}
