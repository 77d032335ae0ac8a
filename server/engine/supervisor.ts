/**
 * Keeps one engine alive: starts it, notices within seconds when it dies or hangs, and restarts it
 * with back-off. Its sessions come back on the same ports and numbers (session-keeper.ts).
 */
import path from "node:path";
import type { Logger } from "../telemetry/logger.ts";
import { type EnginePlaces, placesOf } from "./admission.ts";
import { EngineUnavailableError, refusalOf } from "./engine-error.ts";
import { EngineRun, type RunEnd } from "./engine-run.ts";
import type { OpenEngineLink } from "./link/engine-link.ts";
import { ipcLink } from "./link/ipc-link.ts";
import type { EngineMetrics } from "./metrics.ts";
import { ProgressTotals } from "./progress-totals.ts";
import type { EngineInfo, EngineMessage, EngineOptions, ServerMessage } from "./protocol.ts";
import type { RemoteSession } from "./remote-session.ts";
import { RestartPolicy, type RestartPolicyOptions } from "./restart-policy.ts";
import { SessionKeeper } from "./session-keeper.ts";
import { StrikeLedger } from "./strike-ledger.ts";
import { Suspicion, type SuspicionOptions } from "./suspicion.ts";

/** `resting`: it crashed again and again with nobody in it, and is tried more and more rarely. */
export type SupervisorState = "stopped" | "starting" | "ready" | "restarting" | "resting";

export interface SupervisorEvents {
  /** State, sessions or what they report changed. */
  onChange: () => void;
  /** The session crashed the engine too often and has left it. */
  onConvicted: (session: RemoteSession, reason: string) => void;
}

export interface EngineSupervisorOptions {
  engine: EngineOptions;
  logger: Logger;
  metrics: EngineMetrics;
  /** The way to the engine. Default: a child process of this server. */
  openLink?: OpenEngineLink;
  /** `quarantine`: for streams that crash engines; not one of those that should be up. */
  role?: "shared" | "quarantine";
  restart?: RestartPolicyOptions;
  suspicion?: SuspicionOptions;
  /** Shared by all engines of a server. */
  ledger?: StrikeLedger;
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

/** Without anybody to take convicted sessions over, they are lost. */
const ALONE: SupervisorEvents = {
  onChange: () => undefined,
  onConvicted: (session, reason) => session.listener.onLost(reason, "POISON"),
};

export class EngineSupervisor {
  readonly #options: EngineSupervisorOptions;
  readonly #policy: RestartPolicy;
  readonly #suspicion: Suspicion;
  readonly #keeper: SessionKeeper;
  #events = ALONE;
  #state: SupervisorState = "stopped";
  #run: EngineRun | null = null;
  #info: EngineInfo | null = null;
  #restartTimer: NodeJS.Timeout | null = null;
  #starting: { resolve: () => void; reject: (error: Error) => void } | null = null;
  #restarts = 0;
  #up = false;
  /** When it was started last, or will be. */
  #startsAtMs = 0;
  /** How long it took to get ready last. */
  #loadMs = 1000;

  constructor(options: EngineSupervisorOptions) {
    this.#options = options;
    this.#policy = new RestartPolicy(options.restart);
    this.#suspicion = new Suspicion(options.ledger ?? new StrikeLedger(), options.suspicion);
    this.#keeper = new SessionKeeper({
      suspicion: this.#suspicion,
      totals: new ProgressTotals(options.metrics),
      logger: options.logger,
      openLimitMs: options.openLimitMs ?? 10_000,
      onConvicted: (session, reason) => this.#events.onConvicted(session, reason),
      onChange: () => this.#events.onChange(),
    });
  }

  get state(): SupervisorState {
    return this.#state;
  }

  /** What the engine said about itself; null before the first start. */
  get info(): EngineInfo | null {
    return this.#info;
  }

  /** Process id of an engine on this machine, for tests and operators. */
  get pid(): number | undefined {
    return this.#run?.link.pid;
  }

  /** Address of the engine's media sockets; null while there is no engine. */
  get engineIp(): string | null {
    return this.#run?.link.engineIp ?? null;
  }

  /** Sessions that it has, also while it restarts, and those just being opened. */
  get sessions(): number {
    return this.#keeper.size;
  }

  /** Restarts so far. */
  get restarts(): number {
    return this.#restarts;
  }

  /** When it may well be ready, from now; 0 when it is. */
  get retryAfterMs(): number {
    const ready = this.#state === "ready";
    const atMs = this.#startsAtMs + this.#loadMs;
    return ready ? 0 : Math.max(100, Math.round(atMs - performance.now()));
  }

  /** For whoever shares sessions out over engines. Once, before start(). */
  watch(events: SupervisorEvents): void {
    this.#events = events;
  }

  /** Its places, and the limit that says so. @param reserved places promised beside its sessions */
  places(reserved: number): EnginePlaces {
    return placesOf({
      maxSessions: this.#options.engine.maxSessions,
      memory: this.#info?.memory ?? null,
      used: this.#keeper.size + reserved,
      compute: this.#keeper.compute,
    });
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

  /** Ends the process. Sessions are forgotten, their listeners hear nothing any more. */
  async close(): Promise<void> {
    this.#state = "stopped";
    this.#starting?.reject(new Error("The engine was closed before it had started."));
    this.#starting = null;
    if (this.#restartTimer !== null) {
      clearTimeout(this.#restartTimer);
    }
    this.#keeper.clear();
    this.#setUp(false);
    await this.#run?.shutdown();
    this.#run = null;
  }

  has(session: RemoteSession): boolean {
    return this.#keeper.has(session);
  }

  /**
   * Opens a session.
   * @param signal calls the opening off
   * @returns where the engine takes and sends its media
   * @throws EngineFullError, EngineUnavailableError, or the signal's reason
   */
  async open(session: RemoteSession, signal?: AbortSignal): Promise<{ ip: string; port: number }> {
    const ip = this.engineIp;
    if (this.#state !== "ready" || ip === null) {
      throw this.unavailable();
    }
    try {
      return { ip, port: await this.#keeper.open(session, signal) };
    } catch (error) {
      signal?.throwIfAborted();
      throw refusalOf(error, Math.max(1000, this.retryAfterMs));
    }
  }

  /** Takes a session over that another engine had; it is resumed when its turn comes. */
  adopt(session: RemoteSession): void {
    this.#keeper.adopt(session);
  }

  /** Ends a session; its listener hears nothing any more. Not its own: nothing happens. */
  closeSession(session: RemoteSession): void {
    this.#keeper.close(session);
  }

  /** Why it cannot be asked now. */
  unavailable(): EngineUnavailableError {
    const seconds = Math.ceil(this.retryAfterMs / 1000);
    const message =
      this.#state === "resting"
        ? `The engine crashes by itself and is tried again in ${seconds} s.`
        : "The engine is starting. Try again in a few seconds.";
    return new EngineUnavailableError(message, this.retryAfterMs);
  }

  /** Counts this engine among those that are ready, or not any more. */
  #setUp(up: boolean): void {
    if (up !== this.#up && this.#options.role !== "quarantine") {
      this.#options.metrics.engineUp.inc(up ? 1 : -1);
    }
    this.#up = up;
  }

  #spawn(): void {
    const { engine, openLink, heartbeatLimitMs, startLimitMs, logger } = this.#options;
    this.#startsAtMs = performance.now();
    this.#run = new EngineRun({
      openLink: openLink ?? ipcLink(MAIN),
      engine,
      heartbeatLimitMs: heartbeatLimitMs ?? 2500,
      startLimitMs: startLimitMs ?? 60_000,
      onMessage: (message) => this.#onMessage(message),
      onBadMessage: (problem) =>
        logger.error({ problem }, "a message of the engine was not understood"),
      onEnd: (end) => this.#onEnd(end),
    });
  }

  #onMessage(message: EngineMessage): void {
    switch (message.type) {
      case "ready":
        this.#onReady(message.info);
        break;
      case "log":
        this.#options.logger[message.level](message.fields, `engine: ${message.message}`);
        break;
      case "failed":
      case "heartbeat":
        break;
      default:
        this.#keeper.onMessage(message);
    }
  }

  #onReady(info: EngineInfo): void {
    const run = this.#run;
    if (this.#state === "stopped" || run === null) {
      return; // It was closed while it loaded, and is about to end.
    }
    const { logger, metrics } = this.#options;
    const nowMs = performance.now();
    this.#loadMs = nowMs - this.#startsAtMs;
    this.#policy.onReady(nowMs);
    this.#state = "ready";
    this.#setUp(true);
    metrics.engineMemory.set({ part: "model" }, info.memory.modelBytes);
    metrics.engineMemory.set({ part: "session" }, info.memory.sessionBytes);
    metrics.engineMemory.set({ part: "limit" }, info.memory.limitBytes);
    this.#info = info;
    logger.info({ ...info, engine: run.link.name }, "the engine is ready");
    const send = (message: ServerMessage): void => run.send(message);
    this.#keeper.engineUp({ send, engineIp: run.link.engineIp });
    this.#starting?.resolve();
    this.#starting = null;
    this.#events.onChange();
  }

  #onEnd({ reason, cause, trace }: RunEnd): void {
    this.#run = null;
    if (this.#state === "stopped") {
      return;
    }
    if (this.#starting !== null) {
      this.#state = "stopped";
      this.#starting.reject(new Error(`The engine did not start: ${reason}`));
      this.#starting = null;
      return;
    }
    const { logger, metrics, role } = this.#options;
    const present = this.#suspicion.present;
    const wasResting = this.#state === "resting";
    const { delayMs, resting } = this.#policy.onCrash(performance.now(), present);
    this.#state = resting ? "resting" : "restarting";
    this.#startsAtMs = performance.now() + delayMs;
    this.#setUp(false);
    metrics.engineRestarts.inc();
    metrics.engineCrashes.inc({ cause, engine: role ?? "shared" });
    this.#restarts += 1;
    const sessions = this.#keeper.size;
    logger.error({ reason, delayMs, sessions, present, trace }, "the engine died");
    if (resting && !wasResting) {
      metrics.engineGaveUp.inc();
      logger.error("the engine crashes with nobody in it: generated pictures stand still");
    }
    const outside = cause === "killed" || cause === "lost";
    this.#keeper.engineDown("the engine crashed and is restarting", outside ? null : trace);
    this.#restartTimer = setTimeout(() => this.#spawn(), delayMs);
    this.#events.onChange();
  }
}
