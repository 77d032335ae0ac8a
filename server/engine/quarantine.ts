/**
 * An engine of its own for one session at a time: a stream that crashed an engine twice goes on here,
 * alone, so that it takes nobody with it. It is started when it is needed first, and ended when
 * nobody has needed it for a while. Who crashes this one too is refused for good.
 */
import { toError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import { EngineUnavailableError } from "./engine-error.ts";
import type { EngineMetrics } from "./metrics.ts";
import type { RemoteSession } from "./remote-session.ts";
import type { EngineSupervisor } from "./supervisor.ts";

export interface QuarantineOptions {
  /** Makes an engine like this one, for one session. */
  create: (home: EngineSupervisor) => EngineSupervisor;
  logger: Logger;
  metrics: EngineMetrics;
  /** After so long without a crash a session may go back, when another one waits. Default 10 000. */
  paroleMs?: number;
  /** The process is ended after so long without a session. Default one minute. */
  idleMs?: number;
}

interface Inmate {
  session: RemoteSession;
  /** The engine that it comes from, and may go back to. */
  home: EngineSupervisor;
  /** The engine has it now. */
  inside: boolean;
  /** Since when it has not crashed this engine, and the restarts that the engine had had then. */
  sinceMs: number;
  restarts: number;
}

function newcomer(session: RemoteSession, home: EngineSupervisor): Inmate {
  return { session, home, inside: false, sinceMs: performance.now(), restarts: 0 };
}

const WAITING = "the engine crashed while it repainted this camera, which is now tried alone";
const PAROLE_CHECK_MS = 500;

export class Quarantine {
  readonly #options: QuarantineOptions;
  readonly #queue: Inmate[] = [];
  #current: Inmate | null = null;
  #engine: EngineSupervisor | null = null;
  #started: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: QuarantineOptions) {
    this.#options = options;
  }

  /** Sessions that are tried alone, or wait for it. */
  get sessions(): number {
    return this.#queue.length + (this.#current === null ? 0 : 1);
  }

  /** The engine, for tests and operators; null while there is none. */
  get engine(): EngineSupervisor | null {
    return this.#engine;
  }

  /** Takes a session over that crashed its engine too often. */
  take(session: RemoteSession, home: EngineSupervisor): void {
    this.#options.logger.warn({ sessionId: session.id }, "a session is tried alone");
    this.#options.metrics.engineQuarantines.inc({ outcome: "tried" });
    session.listener.onSuspended(WAITING);
    this.#queue.push(newcomer(session, home));
    this.#next();
  }

  /**
   * Opens a new session of somebody who crashed engines before.
   * @throws EngineUnavailableError when another one is in here, or this one crashes it at once
   */
  async open(
    session: RemoteSession,
    home: EngineSupervisor,
    signal?: AbortSignal,
  ): Promise<{ ip: string; port: number }> {
    if (this.sessions > 0 || this.#closed) {
      const message = "This camera crashed the engine before, and another such one is being tried.";
      throw new EngineUnavailableError(message, this.#options.paroleMs ?? 10_000);
    }
    const inmate = newcomer(session, home);
    this.#enter(inmate);
    try {
      const engine = await this.#ready(home);
      const address = await engine.open(session, signal);
      inmate.inside = true;
      return address;
    } catch (error) {
      this.#leave(session);
      throw error;
    }
  }

  /** Ends a session. @returns false when it is not in here */
  closeSession(session: RemoteSession): boolean {
    const waiting = this.#queue.findIndex((inmate) => inmate.session === session);
    if (waiting >= 0) {
      this.#queue.splice(waiting, 1);
      this.#count();
      return true;
    }
    if (this.#current?.session !== session) {
      return false;
    }
    this.#engine?.closeSession(session);
    this.#leave(session);
    return true;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#clearTimer();
    this.#queue.length = 0;
    this.#current = null;
    const engine = this.#engine;
    this.#engine = null;
    await engine?.close();
  }

  #enter(inmate: Inmate): void {
    this.#clearTimer();
    this.#current = inmate;
    this.#count();
  }

  /** Nobody else is in here: the next one, or the end of the process after a while. */
  #leave(session: RemoteSession): void {
    if (this.#current?.session === session) {
      this.#current = null;
      this.#next();
    }
  }

  #next(): void {
    this.#count();
    this.#clearTimer();
    if (this.#closed) {
      return;
    }
    if (this.#current !== null) {
      if (this.#queue.length > 0) {
        this.#timer = setTimeout(() => this.#tryParole(), PAROLE_CHECK_MS);
      }
      return;
    }
    const inmate = this.#queue.shift();
    if (inmate === undefined) {
      this.#timer = setTimeout(() => this.#end(), this.#options.idleMs ?? 60_000);
      return;
    }
    this.#enter(inmate);
    this.#ready(inmate.home).then(
      (engine) => {
        if (this.#current === inmate) {
          inmate.sinceMs = performance.now();
          inmate.restarts = engine.restarts;
          engine.adopt(inmate.session);
          inmate.inside = true;
        }
        this.#next();
      },
      (error: unknown) => {
        if (this.#current === inmate) {
          this.#refuse(inmate.session, `it cannot be tried alone: ${toError(error).message}`);
        }
      },
    );
  }

  /** The engine, started where it is not. */
  async #ready(home: EngineSupervisor): Promise<EngineSupervisor> {
    if (this.#engine === null) {
      const engine = this.#options.create(home);
      this.#engine = engine;
      engine.watch({
        onChange: () => this.#onChange(),
        onConvicted: (session, reason) => this.#refuse(session, reason),
      });
      this.#started = engine.start();
      this.#started.catch(() => {
        this.#engine = this.#engine === engine ? null : this.#engine;
      });
    }
    const engine = this.#engine;
    await this.#started;
    return engine;
  }

  #refuse(session: RemoteSession, reason: string): void {
    const text = `the engine crashed again and again while it repainted this camera (${reason})`;
    this.#options.logger.error({ sessionId: session.id, reason }, "a session is refused for good");
    this.#options.metrics.engineQuarantines.inc({ outcome: "refused" });
    this.#leave(session);
    session.listener.onLost(text, "POISON");
  }

  #onChange(): void {
    const inmate = this.#current;
    // Lost for another reason, such as an error of its own.
    if (inmate?.inside && this.#engine?.has(inmate.session) === false) {
      this.#leave(inmate.session);
    }
  }

  /** Who has behaved well makes room for who waits. */
  #tryParole(): void {
    const inmate = this.#current;
    const engine = this.#engine;
    if (inmate === null || engine === null) {
      return;
    }
    const nowMs = performance.now();
    if (engine.restarts !== inmate.restarts || engine.state !== "ready") {
      inmate.restarts = engine.restarts;
      inmate.sinceMs = nowMs;
    } else if (nowMs - inmate.sinceMs >= (this.#options.paroleMs ?? 10_000)) {
      const { session, home } = inmate;
      this.#options.metrics.engineQuarantines.inc({ outcome: "released" });
      engine.closeSession(session);
      session.listener.onSuspended("it goes back to the others");
      home.adopt(session);
      this.#leave(session);
      return;
    }
    this.#next();
  }

  #end(): void {
    const engine = this.#engine;
    this.#engine = null;
    engine?.close().catch((error: unknown) => {
      this.#options.logger.error({ err: toError(error) }, "the quarantine did not end in order");
    });
  }

  #count(): void {
    this.#options.metrics.engineQuarantined.set(this.sessions);
  }

  #clearTimer(): void {
    if (this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
  }
}
