/** Structured logs on stderr: stdout stays free for the one line a person waits for. */
import { type DestinationStream, destination, type Logger, pino } from "pino";

export type { Logger };

/** Keys that must never appear in a log, at any of the depths that are used. */
const REDACTED = ["token", "*.token", "secret", "*.secret", "credential", "*.credential"];

/** @param sink where lines go; standard error unless a test wants them. */
export function createLogger(level: string, sink?: DestinationStream): Logger {
  return pino(
    { level, redact: REDACTED, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    sink ?? destination({ dest: 2, sync: true }),
  );
}
