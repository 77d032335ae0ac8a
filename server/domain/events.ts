/** Typed events whose listeners cannot break the one who emits. */
import { EventEmitter } from "node:events";

type EventMap<T> = Record<keyof T, unknown[]>;

/** Told what a listener threw, and at which event. */
export type ReportListenerError = (error: unknown, event: string) => void;

/**
 * An emitter that catches what its listeners throw and reports it: an error in one edge must not
 * stop media or leave a room half changed. Listeners run in the order in which they were added,
 * before `emit` returns.
 */
export class SafeEmitter<T extends EventMap<T>> {
  readonly #emitter = new EventEmitter();
  readonly #report: ReportListenerError;

  constructor(report: ReportListenerError) {
    this.#report = report;
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
      } catch (error) {
        this.#report(error, event);
      }
    }
  }
}
