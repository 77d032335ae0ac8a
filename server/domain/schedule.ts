/** Timers, injected so that tests decide when they run. */

/** Runs something later. @returns cancels it */
export type Schedule = (delayMs: number, run: () => void) => () => void;

/** Real timers that do not keep the process alive. */
export const schedule: Schedule = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
};
