/** Time as the engine sees it, injected so that tests can hold it still. */

/** One moment on both clocks. */
export interface Moment {
  /** Never goes backward: for waits and intervals. */
  monoMs: number;
  /** Unix time of this machine: for capture times, delays and sender reports. */
  unixMs: number;
}

export interface Clock {
  now(): Moment;
}

export const systemClock: Clock = {
  now: () => ({ monoMs: performance.now(), unixMs: Date.now() }),
};
