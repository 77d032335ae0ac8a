/**
 * Puts packets back into order. What is missing is waited for as long as repairs take here (see
 * repair-times.ts), up to a bound: then the gap is given up and the packet behind it is marked, so
 * that the frame assembler looks for the next decodable frame. Packets in order never wait. Bounded
 * in time and in packets.
 */
import { RepairTimes } from "./repair-times.ts";
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
  /** Monotonic. */
  arrivalMs: number;
  /** From abs-capture-time where the packet carries it, on the same clock. */
  captureMs: number | null;
  /** A key frame begins with it. Needs to be known only while packets are missing. */
  startsKeyFrame?: boolean;
}

export interface ReleasedPacket {
  packet: VideoPacket;
  /** Packets before this one are lost for good. */
  afterGap: boolean;
}

export type InsertResult = "accepted" | "duplicate" | "late" | "jump" | "overflow";

export interface JitterBufferOptions {
  /** Longest wait for a missing packet. Default: see RepairTimesOptions. */
  maxWaitMs?: number;
  /** Shortest one, where repairs are quick. */
  minWaitMs?: number;
  /** Most packets held. Default 2048: 700 ms of 28 Mbps video. */
  maxPackets?: number;
}

/** A sequence number this far from the expected one means that the sender started anew. */
const JUMP = 3000;
/** Given-up packets whose late arrival still teaches how long repairs take. */
const GIVEN_UP_KEPT = 512;
const GIVEN_UP_KEPT_MS = 3000;

export class JitterBuffer {
  readonly #maxPackets: number;
  readonly #repairTimes: RepairTimes;
  readonly #entries = new Map<number, VideoPacket>();
  /** When each missing packet was missed, by extended sequence number, ascending. */
  readonly #missing = new Map<number, number>();
  /** The same of those that are not waited for any more. */
  readonly #givenUp = new Map<number, number>();
  readonly #unwrapper = new Unwrapper(16);
  #next: number | undefined;
  #highest = 0;
  #afterGap = true;
  #jumpCandidate: number | undefined;
  /** Where the newest key frame behind a gap begins. */
  #keyFrameStart = Number.NEGATIVE_INFINITY;
  #gapsGivenUp = 0;
  #lateRepairs = 0;

  constructor({ maxWaitMs, minWaitMs, maxPackets = 2048 }: JitterBufferOptions = {}) {
    this.#maxPackets = maxPackets;
    this.#repairTimes = new RepairTimes({
      ...(maxWaitMs === undefined ? {} : { maxWaitMs }),
      ...(minWaitMs === undefined ? {} : { minWaitMs }),
    });
  }

  /** Packets held at the moment. */
  get size(): number {
    return this.#entries.size;
  }

  /** Whether packets are waited for. */
  get hasGap(): boolean {
    return this.#missing.size > 0;
  }

  /** Gaps that were not filled in time, so far. */
  get gapsGivenUp(): number {
    return this.#gapsGivenUp;
  }

  /** Packets that came after their gap was given up, so far. */
  get lateRepairs(): number {
    return this.#lateRepairs;
  }

  /** How long a gap is waited for at the moment. */
  waitMs(nowMs: number): number {
    return this.#repairTimes.waitMs(nowMs);
  }

  /** How long to wait between two requests for a missing packet. */
  retryMs(nowMs: number): number {
    return this.#repairTimes.retryMs(nowMs);
  }

  /** What is known of the round trip between the SFU and the camera; null: nothing. */
  setRoundTrip(roundTripMs: number | null): void {
    this.#repairTimes.setRoundTrip(roundTripMs);
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
      const packet = this.#entries.get(this.#next);
      if (packet === undefined) {
        if (!this.#isOver(this.#next, nowMs)) {
          break;
        }
        this.#giveUpGap(this.#next, nowMs);
        continue;
      }
      this.#entries.delete(this.#next);
      released.push({ packet, afterGap: this.#afterGap });
      this.#afterGap = false;
      this.#next += 1;
    }
    return released;
  }

  /** Extended sequence numbers that are awaited: holes before the newest packet. */
  missing(): number[] {
    return [...this.#missing.keys()];
  }

  #start(sequence: number): void {
    this.#entries.clear();
    this.#missing.clear();
    this.#givenUp.clear();
    this.#unwrapper.reset();
    this.#next = this.#unwrapper.unwrap(sequence);
    this.#highest = this.#next - 1;
    this.#afterGap = true;
    this.#jumpCandidate = undefined;
    this.#keyFrameStart = Number.NEGATIVE_INFINITY;
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
      this.#noteLate(extended, nowMs);
      return "late";
    }
    if (this.#entries.has(extended)) {
      return "duplicate";
    }
    if (this.#entries.size >= this.#maxPackets) {
      return "overflow";
    }
    this.#entries.set(extended, packet);
    if (packet.startsKeyFrame) {
      this.#keyFrameStart = Math.max(this.#keyFrameStart, extended);
    }
    const missedAtMs = this.#missing.get(extended);
    if (missedAtMs !== undefined) {
      this.#missing.delete(extended);
      this.#repairTimes.onRepair(nowMs - missedAtMs, nowMs, false);
    }
    if (extended > this.#highest) {
      for (let sequence = this.#highest + 1; sequence < extended; sequence += 1) {
        this.#missing.set(sequence, nowMs);
      }
      this.#highest = this.#unwrapper.unwrap(packet.sequence);
    }
    return "accepted";
  }

  #noteLate(extended: number, nowMs: number): void {
    const missedAtMs = this.#givenUp.get(extended);
    if (missedAtMs !== undefined) {
      this.#givenUp.delete(extended);
      this.#lateRepairs += 1;
      this.#repairTimes.onRepair(nowMs - missedAtMs, nowMs, true);
    }
  }

  /** Whether the missing packet, or the whole buffer, has been waited for long enough. */
  #isOver(sequence: number, nowMs: number): boolean {
    const waitedMs = nowMs - (this.#missing.get(sequence) ?? nowMs);
    return (
      waitedMs >= this.#repairTimes.waitMs(nowMs) ||
      this.#entries.size >= this.#maxPackets ||
      (this.#hasKeyFrameBehind(sequence) && waitedMs >= this.#repairTimes.overdueMs(nowMs))
    );
  }

  /** Whether a whole key frame waits behind the gap. */
  #hasKeyFrameBehind(sequence: number): boolean {
    if (this.#keyFrameStart <= sequence) {
      return false;
    }
    let at = this.#keyFrameStart;
    while (this.#entries.get(at)?.marker === false) {
      at += 1;
    }
    return this.#entries.has(at);
  }

  /** Moves on to the first held packet behind a gap. */
  #giveUpGap(from: number, nowMs: number): void {
    let sequence = from;
    // Ends: this is called only while a packet above the gap is held.
    while (!this.#entries.has(sequence)) {
      this.#givenUp.set(sequence, this.#missing.get(sequence) ?? nowMs);
      this.#missing.delete(sequence);
      sequence += 1;
    }
    for (const [old, missedAtMs] of this.#givenUp) {
      if (this.#givenUp.size <= GIVEN_UP_KEPT && nowMs - missedAtMs <= GIVEN_UP_KEPT_MS) {
        break;
      }
      this.#givenUp.delete(old);
    }
    this.#next = sequence;
    this.#afterGap = true;
    this.#gapsGivenUp += 1;
    this.#repairTimes.onGivenUp();
  }
}
