/** Where errors of event listeners go: into the log and a counter, never to the one who emits. */
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics.ts";

export function reportListenerErrors(logger: Logger, metrics: Metrics) {
  return (err: unknown, event: string): void => {
    metrics.listenerErrors.inc();
    logger.error({ err, event }, "a listener failed");
  };
}
