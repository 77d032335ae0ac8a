/**
 * Frames on their way to the native session. When a gap in the packets is filled at last, the frames
 * of up to 700 ms become whole in the same instant; the native session's queue holds 16 and throws
 * all away when it is full. So a burst is handed on over some ticks. Bounded.
 */
import type { InputFrame } from "./rtp/input-stream.ts";

/** Frames handed on at once; the decoder takes more than this in the time of a tick. */
const FRAMES_PER_TICK = 6;
/** Two seconds of 60 frames each: more is not live any more. */
const MOST_WAITING = 120;

export interface FrameFeedOptions {
  push: (frame: InputFrame) => void;
  /** So many frames were thrown away; decoding needs a key frame now. */
  onOverflow: (frames: number) => void;
}

export class FrameFeed {
  readonly #options: FrameFeedOptions;
  #waiting: InputFrame[] = [];
  #allowance = FRAMES_PER_TICK;
  #awaitKeyFrame = false;

  constructor(options: FrameFeedOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  push(frame: InputFrame): void {
    if (this.#awaitKeyFrame && !frame.keyFrame) {
      this.#options.onOverflow(1);
      return;
    }
    this.#awaitKeyFrame = false;
    if (this.#waiting.length >= MOST_WAITING) {
      const frames = this.#waiting.length;
      this.#waiting = [];
      // What builds on a lost frame is lost with it.
      this.#awaitKeyFrame = !frame.keyFrame;
      this.#options.onOverflow(frames + (frame.keyFrame ? 0 : 1));
      if (!frame.keyFrame) {
        return;
      }
    }
    this.#waiting.push(frame);
    this.#drain();
  }

  /** To be called every few tens of milliseconds. */
  tick(): void {
    this.#allowance = FRAMES_PER_TICK;
    this.#drain();
  }

  #drain(): void {
    while (this.#allowance > 0) {
      const frame = this.#waiting.shift();
      if (frame === undefined) {
        return;
      }
      this.#allowance -= 1;
      this.#options.push(frame);
    }
  }
}
