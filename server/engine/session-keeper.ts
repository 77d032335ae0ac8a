/**
 * The sessions of one engine across its lives: opens them, opens them again after a crash in the
 * order that suspicion asks for, and goes on trying for as long as they are wanted.
 */
import { toError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import { ComputeWatch } from "./compute-watch.ts";
import type { EngineTrace } from "./link/engine-link.ts";
import type { ProgressTotals } from "./progress-totals.ts";
import type { EngineMessage, ServerMessage } from "./protocol.ts";
import { type Loss, OpeningError, type RemoteSession } from "./remote-session.ts";
import type { Suspicion } from "./suspicion.ts";

export interface SessionKeeperOptions {
  suspicion: Suspicion;
  totals: ProgressTotals;
  logger: Logger;
  /** An opening that takes longer has failed. */
  openLimitMs: number;
  /** It crashed the engine too often, and is not kept here any more. */
  onConvicted: (session: RemoteSession, reason: string) => void;
  /** Sessions came or went, or what they report changed. */
  onChange: () => void;
}

/** The engine that runs now. */
export interface RunningEngine {
  send: (message: ServerMessage) => void;
  engineIp: string;
}

interface Kept {
  readonly session: RemoteSession;
  /** Its first opening here has not been answered; who asked for it hears of a failure. */
  first: boolean;
  /** Reopenings that failed one after another. */
  failures: number;
  retry: NodeJS.Timeout | null;
}

const FIRST_RETRY_MS = 250;
const MAX_RETRY_MS = 10_000;
/** The system may take a moment to give the dead process's port back; somebody else may have it. */
const PORT_ATTEMPTS = 4;

export class SessionKeeper {
  readonly #options: SessionKeeperOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #compute = new ComputeWatch();
  #engine: RunningEngine | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: SessionKeeperOptions) {
    this.#options = options;
  }

  /** Sessions that it has: running, being opened, or waiting for the engine. */
  get size(): number {
    return this.#kept.size;
  }

  /** What they report of the engine's speed. */
  get compute(): ComputeWatch["figures"] {
    return this.#compute.figures;
  }

  has(session: RemoteSession): boolean {
    return this.#kept.get(session.id)?.session === session;
  }

  /**
   * Opens a session for the first time.
   * @returns the engine's port
   * @throws OpeningError, or the signal's reason; nothing is kept then
   */
  async open(session: RemoteSession, signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted();
    const kept = this.#keep(session, true);
    this.#options.suspicion.opening(session.id, session.owner);
    const abort = (): void => session.failOpening("gone", "the opening was called off");
    signal?.addEventListener("abort", abort, { once: true });
    try {
      const port = await this.#openInTime(session);
      signal?.throwIfAborted();
      kept.first = false;
      this.#onOpened(session);
      return port;
    } catch (error) {
      this.close(session);
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Takes a session over from another engine: it is opened here when all others have settled. */
  adopt(session: RemoteSession): void {
    this.#keep(session, false);
    this.#options.suspicion.join(session.id, session.owner);
    this.#advance();
  }

  /** Ends a session here; its listener hears nothing of it. */
  close(session: RemoteSession): void {
    if (this.has(session)) {
      this.#drop(session);
      session.detach("it was closed");
      this.#engine?.send({ type: "closeSession", sessionId: session.id });
      this.#advance();
      this.#options.onChange();
    }
  }

  /** A message about a session. */
  onMessage(message: Extract<EngineMessage, { sessionId: string }>): void {
    const { suspicion, totals, logger, onChange } = this.#options;
    const session = this.#kept.get(message.sessionId)?.session;
    if (session === undefined) {
      return; // It was closed while the message was on its way.
    }
    if (message.type === "progress") {
      totals.add(message);
      this.#compute.report(message);
      onChange();
    } else if (message.type === "firstFrame") {
      suspicion.framed(session.id, performance.now());
      this.#advance();
    } else if (message.type === "sessionError") {
      const { code, message: problem, fatal } = message;
      logger.warn({ sessionId: session.id, code, problem, fatal }, "the engine reports a problem");
    }
    const loss = session.onMessage(message);
    if (loss !== null) {
      this.#lose(session, loss);
    }
  }

  /** An engine runs. */
  engineUp(engine: RunningEngine): void {
    this.#engine = engine;
    this.#advance();
  }

  /** It does not any more. @param reason for people @param trace see Suspicion.crashed() */
  engineDown(reason: string, trace: EngineTrace | null): void {
    const { suspicion, totals } = this.#options;
    this.#engine = null;
    this.#clearTimer();
    this.#compute.clear();
    totals.forgetAll();
    const convicted = suspicion.crashed(performance.now(), trace);
    for (const kept of [...this.#kept.values()]) {
      this.#suspend(kept, reason, kept.session.id === convicted);
    }
  }

  /** Forgets all sessions; nobody is told. */
  clear(): void {
    this.#engine = null;
    this.#clearTimer();
    for (const { session } of [...this.#kept.values()]) {
      this.#drop(session);
      session.detach("the engine was closed");
    }
  }

  #suspend(kept: Kept, reason: string, convicted: boolean): void {
    const { session } = kept;
    if (kept.retry !== null) {
      // It was to be opened again by itself; now it waits with the others.
      clearTimeout(kept.retry);
      kept.retry = null;
      this.#options.suspicion.join(session.id, session.owner);
    }
    session.detach(reason);
    if (kept.first) {
      return; // open() tells who asked.
    }
    if (convicted) {
      this.#drop(session);
      this.#options.onConvicted(session, reason);
    } else {
      session.listener.onSuspended(reason);
    }
  }

  #keep(session: RemoteSession, first: boolean): Kept {
    const kept = { session, first, failures: 0, retry: null };
    this.#kept.set(session.id, kept);
    this.#options.onChange();
    return kept;
  }

  #drop(session: RemoteSession): void {
    const kept = this.#kept.get(session.id);
    if (kept?.retry) {
      clearTimeout(kept.retry);
    }
    this.#kept.delete(session.id);
    this.#options.suspicion.forget(session.id);
    this.#options.totals.forget(session.id);
    this.#compute.remove(session.id);
  }

  #lose(session: RemoteSession, { reason, code }: Loss): void {
    this.close(session);
    session.listener.onLost(reason, code);
  }

  #onOpened(session: RemoteSession): void {
    this.#options.suspicion.opened(session.id, performance.now());
    this.#compute.add(session.id, session.delayBudgetMs);
    this.#advance();
  }

  /** Opens whose turn it is, and comes back when it is the next one's. */
  #advance(): void {
    if (this.#engine === null) {
      return;
    }
    this.#clearTimer();
    const nowMs = performance.now();
    const { open, againAtMs } = this.#options.suspicion.next(nowMs);
    if (againAtMs !== null) {
      this.#timer = setTimeout(() => this.#advance(), againAtMs - nowMs + 1);
    }
    for (const id of open) {
      const kept = this.#kept.get(id);
      if (kept !== undefined) {
        this.#reopen(kept);
      }
    }
  }

  #reopen(kept: Kept): void {
    const engine = this.#engine;
    const { session } = kept;
    this.#openInTime(session).then(
      () => {
        if (this.has(session)) {
          kept.failures = 0;
          this.#onOpened(session);
          session.listener.onResumed();
        }
      },
      (error: unknown) => {
        // After a crash meanwhile, the next process opens it; a closed one is nobody's concern.
        if (this.#engine === engine && this.has(session)) {
          this.#onReopeningFailed(kept, error);
        }
      },
    );
  }

  #onReopeningFailed(kept: Kept, error: unknown): void {
    const { suspicion, logger } = this.#options;
    const { session } = kept;
    const code = error instanceof OpeningError ? error.code : "broken";
    const { message } = toError(error);
    kept.failures += 1;
    const loss = this.#lossOf(kept, code, message);
    if (loss !== null) {
      this.#lose(session, loss);
      return;
    }
    suspicion.deferred(session.id);
    // Half opened, perhaps: the next opening must find the id free.
    this.#engine?.send({ type: "closeSession", sessionId: session.id });
    const delayMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(kept.failures - 1, 10));
    logger.warn({ sessionId: session.id, code, problem: message, delayMs }, "it did not resume");
    kept.retry = setTimeout(() => {
      kept.retry = null;
      suspicion.opening(session.id, session.owner);
      this.#reopen(kept);
    }, delayMs);
    this.#advance();
  }

  #lossOf({ session, failures }: Kept, code: OpeningError["code"], reason: string): Loss | null {
    if (code === "refused") {
      return session.onOpeningRefused(reason);
    }
    const moved = code === "moved" || (code === "port" && failures >= PORT_ATTEMPTS);
    return moved ? { reason, code: "MOVED" } : null;
  }

  async #openInTime(session: RemoteSession): Promise<number> {
    const { openLimitMs } = this.#options;
    if (this.#engine === null) {
      throw new OpeningError("gone", "there is no engine");
    }
    const { send, engineIp } = this.#engine;
    const timer = setTimeout(
      () => session.failOpening("late", `no answer within ${openLimitMs} ms`),
      openLimitMs,
    );
    try {
      return await session.open(send, engineIp);
    } finally {
      clearTimeout(timer);
    }
  }

  #clearTimer(): void {
    if (this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
  }
}
