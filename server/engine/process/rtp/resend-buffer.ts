/** The last packets sent, for answering NACKs. Bounded in packets and in age. */

export interface ResendBufferOptions {
  /** Packets kept. Default 512: several seconds of a 256x144 picture. */
  capacity?: number;
  /** Older packets help nobody. Default 1000. */
  maxAgeMs?: number;
  /** Least time between two sendings of a packet. Default 30. */
  minIntervalMs?: number;
}

interface Sent {
  sequence: number;
  packet: Buffer;
  sentAtMs: number;
  resentAtMs: number;
}

export class ResendBuffer {
  readonly #slots: (Sent | undefined)[];
  readonly #maxAgeMs: number;
  readonly #minIntervalMs: number;

  constructor({ capacity = 512, maxAgeMs = 1000, minIntervalMs = 30 }: ResendBufferOptions = {}) {
    this.#slots = new Array<Sent | undefined>(capacity).fill(undefined);
    this.#maxAgeMs = maxAgeMs;
    this.#minIntervalMs = minIntervalMs;
  }

  /** Keeps a packet as it was sent; it takes the place of the one `capacity` numbers earlier. */
  add(sequence: number, packet: Buffer, nowMs: number): void {
    this.#slots[sequence % this.#slots.length] = {
      sequence,
      packet,
      sentAtMs: nowMs,
      resentAtMs: nowMs,
    };
  }

  /** The packet to send again, or null when it is gone, too old or was just sent. */
  take(sequence: number, nowMs: number): Buffer | null {
    const sent = this.#slots[sequence % this.#slots.length];
    if (sent === undefined || sent.sequence !== sequence) {
      return null;
    }
    if (nowMs - sent.sentAtMs > this.#maxAgeMs || nowMs - sent.resentAtMs < this.#minIntervalMs) {
      return null;
    }
    sent.resentAtMs = nowMs;
    return sent.packet;
  }
}
