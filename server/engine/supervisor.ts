/**
 * Keeps one engine process alive: starts it, notices within a second when it dies or hangs, restarts
 * it with back-off and opens its sessions again on the same ports and numbers.
 */
import path from "node:path";
import { DriftlessError, toError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import { EngineChild } from "./link/engine-child.ts";
import type { EngineMetrics } from "./metrics.ts";
import { ProgressTotals } from "./progress-totals.ts";
import type { EngineInfo, EngineMessage, EngineOptions, ServerMessage } from "./protocol.ts";
import type { RemoteSessionListener, SessionSpec } from "./remote-session.ts";
import { RemoteSession } from "./remote-session.ts";
import { RestartPolicy, type RestartPolicyOptions } from "./restart-policy.ts";

export type SupervisorState = "stopped" | "starting" | "ready" | "restarting" | "coolingDown";

export interface EngineSupervisorOptions {
  engine: EngineOptions;
  logger: Logger;
  metrics: EngineMetrics;
  /** Module of the engine process; tests use others. */
  entry?: string;
  restart?: RestartPolicyOptions;
  /**
   * Silence after which a running engine counts as hung. Default 2500: a crash is seen at once by the
   * process's end, and on two busy cores a healthy engine may well be silent for a second.
   */
  heartbeatLimitMs?: number;
  /** Default 60 000: a large model on a slow disk. */
  startLimitMs?: number;
  /** An opening that takes longer has failed. Default 10 000. */
  openLimitMs?: number;
}

const MAIN = path.join(import.meta.dirname, "process/main.ts");

export class EngineSupervisor {
  readonly #options: EngineSupervisorOptions;
  readonly #policy: RestartPolicy;
  readonly #sessions = new Map<string, RemoteSession>();
  readonly #totals: ProgressTotals;
  #state: SupervisorState = "stopped";
  #child: EngineChild | null = null;
  #info: EngineInfo | null = null;
  #restartTimer: NodeJS.Timeout | null = null;
  #starting: { resolve: () => void; reject: (error: Error) => void } | null = null;
  #restarts = 0;
  #up = false;
  #failure: string | null = null;

  constructor(options: EngineSupervisorOptions) {
    this.#options = options;
    this.#policy = new RestartPolicy(options.restart);
    this.#totals = new ProgressTotals(options.metrics);
  }

  get state(): SupervisorState {
    return this.#state;
  }

  /** What the engine said about itself; null before the first start. */
  get info(): EngineInfo | null {
    return this.#info;
  }

  /** Process id of the engine, for tests and operators. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Sessions that it has, also while it restarts, and those just being opened. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /** Restarts so far. */
  get restarts(): number {
    return this.#restarts;
  }

  /**
   * Starts the process and waits until its model is loaded.
   * @throws Error with the engine's own words when it cannot start; nothing is retried then
   */
  start(): Promise<void> {
    if (this.#state !== "stopped") {
      throw new Error(`expected a stopped engine, it is ${this.#state}`);
    }
    this.#state = "starting";
    return new Promise((resolve, reject) => {
      this.#starting = { resolve, reject };
      this.#spawn();
    });
  }

  /** Ends the process. Sessions are told that they stopped. */
  async close(): Promise<void> {
    this.#state = "stopped";
    this.#starting?.reject(new Error("The engine was closed before it had started."));
    this.#starting = null;
    if (this.#restartTimer !== null) {
      clearTimeout(this.#restartTimer);
    }
    this.#sessions.clear();
    this.#setUp(false);
    await this.#child?.shutdown();
    this.#child = null;
  }

  /**
   * Opens a session.
   * @returns the session and the engine's UDP port for it
   * @throws DriftlessError ENGINE_UNAVAILABLE when the engine is down or refuses
   */
  async open(
    spec: SessionSpec,
    revision: number,
    listener: RemoteSessionListener,
  ): Promise<{ session: RemoteSession; localPort: number }> {
    if (this.#state !== "ready") {
      throw new DriftlessError("ENGINE_UNAVAILABLE", this.#unavailableReason());
    }
    const send = (message: ServerMessage): void => this.#send(message);
    const session = new RemoteSession(spec, revision, send, listener);
    this.#sessions.set(session.id, session);
    try {
      return { session, localPort: await this.#openInTime(session) };
    } catch (error) {
      this.#sessions.delete(session.id);
      this.#send({ type: "closeSession", sessionId: session.id });
      throw new DriftlessError(
        "ENGINE_UNAVAILABLE",
        `The engine refused: ${toError(error).message}.`,
        {
          cause: error,
        },
      );
    }
  }

  /** Ends a session; its listener hears nothing any more. */
  closeSession(session: RemoteSession): void {
    if (this.#sessions.delete(session.id)) {
      this.#totals.forget(session.id);
      this.#send({ type: "closeSession", sessionId: session.id });
    }
  }

  #unavailableReason(): string {
    return this.#state === "coolingDown"
      ? "The engine crashed several times and rests for a minute. Try again later."
      : "The engine is starting. Try again in a few seconds.";
  }

  #send(message: ServerMessage): void {
    if (this.#state === "ready") {
      this.#child?.send(message);
    }
  }

  async #openInTime(session: RemoteSession): Promise<number> {
    const limitMs = this.#options.openLimitMs ?? 10_000;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs);
    });
    try {
      return await Promise.race([session.open(), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Counts this engine among those that are ready, or not any more. */
  #setUp(up: boolean): void {
    if (up !== this.#up) {
      this.#options.metrics.engineUp.inc(up ? 1 : -1);
    }
    this.#up = up;
  }

  #spawn(): void {
    const { engine, entry, heartbeatLimitMs, startLimitMs, logger } = this.#options;
    this.#failure = null;
    this.#child = new EngineChild({
      entry: entry ?? MAIN,
      engine,
      heartbeatLimitMs: heartbeatLimitMs ?? 2500,
      startLimitMs: startLimitMs ?? 60_000,
      onMessage: (message) => this.#onMessage(message),
      onBadMessage: (problem) =>
        logger.error({ problem }, "a message of the engine was not understood"),
      onExit: (reason) => this.#onExit(this.#failure ?? reason),
    });
  }

  #onMessage(message: EngineMessage): void {
    switch (message.type) {
      case "ready":
        this.#onReady(message.info);
        break;
      case "failed":
        this.#failure = message.message;
        break;
      case "log":
        this.#options.logger[message.level](message.fields, `engine: ${message.message}`);
        break;
      case "heartbeat":
        break;
      default:
        if (message.type === "progress") {
          this.#totals.add(message);
        }
        this.#sessions.get(message.sessionId)?.onMessage(message);
    }
  }

  #onReady(info: EngineInfo): void {
    if (this.#state === "stopped") {
      return; // It was closed while it loaded, and is about to end.
    }
    const { logger, metrics } = this.#options;
    this.#state = "ready";
    this.#setUp(true);
    metrics.engineMemory.set({ part: "model" }, info.memory.modelBytes);
    metrics.engineMemory.set({ part: "session" }, info.memory.sessionBytes);
    metrics.engineMemory.set({ part: "limit" }, info.memory.limitBytes);
    this.#info = info;
    logger.info({ ...info, pid: this.pid }, "the engine is ready");
    this.#starting?.resolve();
    this.#starting = null;
    for (const session of this.#sessions.values()) {
      this.#reopen(session).catch((error: unknown) => {
        logger.error({ err: toError(error), sessionId: session.id }, "a session did not resume");
      });
    }
  }

  async #reopen(session: RemoteSession): Promise<void> {
    try {
      await this.#openInTime(session);
    } catch (error) {
      // A second crash meanwhile: its restart opens the session again.
      if (this.#state === "ready" && this.#sessions.delete(session.id)) {
        session.listener.onLost(toError(error).message);
      }
      return;
    }
    session.listener.onResumed();
  }

  #onExit(reason: string): void {
    this.#child = null;
    if (this.#state === "stopped") {
      return;
    }
    const { logger, metrics } = this.#options;
    if (this.#starting !== null) {
      this.#state = "stopped";
      this.#starting.reject(new Error(`The engine did not start: ${reason}`));
      this.#starting = null;
      return;
    }
    const { delayMs, gaveUp } = this.#policy.onCrash(performance.now());
    this.#state = gaveUp ? "coolingDown" : "restarting";
    this.#setUp(false);
    metrics.engineRestarts.inc();
    this.#restarts += 1;
    logger.error({ reason, delayMs, gaveUp, sessions: this.#sessions.size }, "the engine died");
    if (gaveUp) {
      metrics.engineGaveUp.inc();
      logger.error("the engine crashed too often and rests: generated pictures stand still");
    }
    this.#totals.forgetAll();
    for (const session of [...this.#sessions.values()]) {
      session.onEngineGone(
        gaveUp ? "the engine crashed too often and rests" : "the engine crashed and is restarting",
      );
    }
    this.#restartTimer = setTimeout(() => this.#spawn(), delayMs);
  }
}
