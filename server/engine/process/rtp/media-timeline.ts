/**
 * The timeline of a session's capture times: it starts as Unix time and from then on grows with the
 * monotonic clock, so that no wall clock that is set can tear it. The native session gets capture
 * times on it (its sampler and pacer need times that only grow), and the RTP timestamps of the
 * generated track come from it, so that they stay continuous.
 */
import type { Moment } from "../clock.ts";

export class MediaTimeline {
  readonly #aheadMs: number;

  /**
   * @param now where it begins
   * @param startMs time on it at `now`: where a track goes on that another process began; default
   *   the wall clock
   */
  constructor(now: Moment, startMs: number = now.unixMs) {
    this.#aheadMs = startMs - now.monoMs;
  }

  /** Time on the timeline at a monotonic one. */
  at(monoMs: number): number {
    return monoMs + this.#aheadMs;
  }

  /** Back to the monotonic clock. */
  toMonoMs(timelineMs: number): number {
    return timelineMs - this.#aheadMs;
  }
}
