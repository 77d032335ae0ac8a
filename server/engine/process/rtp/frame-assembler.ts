/**
 * Groups ordered packets into frames and lets only decodable ones through: after a loss, frames are
 * dropped until a whole key frame came.
 */
import type { Depacketizer } from "./depacketize.ts";
import type { ReleasedPacket, VideoPacket } from "./jitter-buffer.ts";

export interface AssembledFrame {
  data: Buffer;
  keyFrame: boolean;
  /** 32-bit RTP timestamp. */
  timestamp: number;
  /** When the first of its packets arrived, monotonic. */
  arrivalMs: number;
  /** Capture time where a packet carried it, on the same clock. */
  captureMs: number | null;
}

export type FrameDropReason =
  | "incompleteFrame"
  | "malformedFrame"
  | "awaitingKeyFrame"
  | "tooLarge";

export interface FrameAssemblerOptions {
  depacketizer: Depacketizer;
  /** Called for each dropped frame. */
  onDrop: (reason: FrameDropReason) => void;
  /** Largest encoded frame; what is larger is dropped. Default 4 MiB. */
  maxFrameBytes?: number;
}

/** Packets of a frame: 8 MB of full ones. Tiny ones would cost more memory than they have bytes. */
const MOST_PACKETS = 8192;

export class FrameAssembler {
  readonly #depacketizer: Depacketizer;
  readonly #onDrop: (reason: FrameDropReason) => void;
  readonly #maxFrameBytes: number;
  #packets: VideoPacket[] = [];
  #bytes = 0;
  #awaitingKeyFrame = true;
  /** Inside a frame that is not wanted: its packets pass by until the next frame starts. */
  #skipping = false;
  /** After a gap, until the end of a frame: a packet may have lost those before it. */
  #unsure = true;

  constructor({ depacketizer, onDrop, maxFrameBytes = 4 * 1024 * 1024 }: FrameAssemblerOptions) {
    this.#depacketizer = depacketizer;
    this.#onDrop = onDrop;
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** True while nothing can be decoded before a key frame comes: one should be asked for. */
  get awaitingKeyFrame(): boolean {
    return this.#awaitingKeyFrame;
  }

  /** Takes the next packet; returns the frames that it completes (none, one, rarely two). */
  push({ packet, afterGap }: ReleasedPacket): AssembledFrame[] {
    const frames: AssembledFrame[] = [];
    if (afterGap) {
      this.#abandon("incompleteFrame");
      this.#awaitingKeyFrame = true;
      this.#skipping = false;
      this.#unsure = true;
    }
    if (packet.payload.length === 0) {
      return frames;
    }
    const current = this.#packets[0];
    if (current !== undefined && current.timestamp !== packet.timestamp) {
      // The sender set no marker; the sequence has no hole, so the frame is whole.
      this.#finish(frames);
      this.#unsure = false;
    }
    this.#add(packet);
    if (packet.marker) {
      this.#finish(frames);
      this.#skipping = false;
      this.#unsure = false;
    }
    return frames;
  }

  #add(packet: VideoPacket): void {
    const first = this.#packets.length === 0;
    if (first && !this.#depacketizer.startsFrame(packet.payload, this.#unsure)) {
      if (!this.#skipping) {
        this.#skipping = true;
        this.#awaitingKeyFrame = true;
        this.#onDrop("incompleteFrame");
      }
      return;
    }
    this.#skipping = false;
    this.#packets.push(packet);
    this.#bytes += packet.payload.length;
    if (this.#bytes > this.#maxFrameBytes || this.#packets.length > MOST_PACKETS) {
      this.#abandon("tooLarge");
      this.#awaitingKeyFrame = true;
      this.#skipping = true;
    }
  }

  #abandon(reason: FrameDropReason): void {
    if (this.#packets.length > 0) {
      this.#onDrop(reason);
    }
    this.#packets = [];
    this.#bytes = 0;
  }

  #finish(frames: AssembledFrame[]): void {
    const packets = this.#packets;
    const [first] = packets;
    if (first === undefined) {
      return;
    }
    const frame = this.#depacketizer.assemble(packets.map((packet) => packet.payload));
    this.#packets = [];
    this.#bytes = 0;
    if (frame === null) {
      this.#awaitingKeyFrame = true;
      this.#onDrop("malformedFrame");
      return;
    }
    if (frame.noPicture) {
      return;
    }
    if (this.#awaitingKeyFrame && !frame.keyFrame) {
      this.#onDrop("awaitingKeyFrame");
      return;
    }
    this.#awaitingKeyFrame = false;
    const captureMs = packets.find((packet) => packet.captureMs !== null)?.captureMs ?? null;
    frames.push({
      data: frame.data,
      keyFrame: frame.keyFrame,
      timestamp: first.timestamp,
      // Not of the first in order: that one may have been repaired.
      arrivalMs: packets.reduce((least, p) => Math.min(least, p.arrivalMs), first.arrivalMs),
      captureMs,
    });
  }
}
