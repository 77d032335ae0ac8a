/** Typed events whose listeners cannot break the one who emits. */
import { EventEmitter } from "node:events";
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics.ts";

type EventMap<T> = Record<keyof T, unknown[]>;

/**
 * An emitter that catches what its listeners throw, logs it and counts it: an
 * error in signalling must not stop media or leave a room half changed.
 */
export class SafeEmitter<T extends EventMap<T>> {
  readonly #emitter = new EventEmitter();
  readonly #logger: Logger;
  readonly #metrics: Metrics;

  constructor(logger: Logger, metrics: Metrics) {
    this.#logger = logger;
    this.#metrics = metrics;
    this.#emitter.setMaxListeners(0);
  }

  on<K extends keyof T & string>(event: K, listener: (...payload: T[K]) => void): this {
    this.#emitter.on(event, listener as (...payload: unknown[]) => void);
    return this;
  }

  off<K extends keyof T & string>(event: K, listener: (...payload: T[K]) => void): this {
    this.#emitter.off(event, listener as (...payload: unknown[]) => void);
    return this;
  }

  emit<K extends keyof T & string>(event: K, ...payload: T[K]): void {
    for (const listener of this.#emitter.listeners(event)) {
      try {
        listener(...payload);
      } catch (err) {
        this.#metrics.listenerErrors.inc();
        this.#logger.error({ err, event }, "a listener failed");
      }
    }
  }
}
