/**
 * The engine process' side of the protocol: sessions by id, and an answer to each message. Knows
 * neither the process nor the addon, so that tests can host any NativeEngine.
 */

import type { EngineMessage, OpenSession, ServerMessage, SessionErrorCode } from "../protocol.ts";
import { serverMessageSchema } from "../protocol.ts";
import type { Clock } from "./clock.ts";
import type { NativeEngine } from "./native.ts";
import { EngineSession } from "./session.ts";

export interface EngineHostOptions {
  engine: NativeEngine;
  maxSessions: number;
  clock: Clock;
  send: (message: EngineMessage) => void;
  /** The engine's GPU is gone for this process. May be called once for each session. */
  onDeviceLost: (message: string) => void;
}

/** What the system says of an address or port that cannot be bound. */
const PORT_PROBLEMS = ["EADDRINUSE", "EADDRNOTAVAIL", "EACCES"];

type SessionMessage = Exclude<ServerMessage, { type: "start" | "shutdown" | "openSession" }>;
type SetTransform = Extract<ServerMessage, { type: "setTransform" }>;

export class EngineHost {
  readonly #options: EngineHostOptions;
  readonly #sessions = new Map<string, EngineSession>();
  readonly #opening = new Set<EngineSession>();

  constructor(options: EngineHostOptions) {
    this.#options = options;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Handles one message of the server. Never throws: failures are answered by messages. */
  async handle(raw: unknown): Promise<void> {
    const parsed = serverMessageSchema.safeParse(raw);
    if (!parsed.success) {
      this.#log("error", "a message of the server was not understood", {
        problem: parsed.error.message,
      });
      return;
    }
    const message = parsed.data;
    if (message.type === "openSession") {
      await this.#open(message);
    } else if (message.type !== "start" && message.type !== "shutdown") {
      await this.#forward(message);
    }
  }

  /** Closes all sessions. */
  async close(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.all(sessions.map((session) => session.close("the engine is closing")));
  }

  async #open(open: OpenSession): Promise<void> {
    const { sessionId } = open;
    const { maxSessions } = this.#options;
    if (this.#sessions.has(sessionId)) {
      const problem = `expected a new session id, received ${sessionId} a second time`;
      this.#fail(sessionId, "refused", problem);
      return;
    }
    if (this.#sessions.size >= maxSessions) {
      const problem = `all ${maxSessions} places for repainted cameras are taken`;
      this.#fail(sessionId, "full", problem);
      return;
    }
    const session = new EngineSession({
      open,
      engine: this.#options.engine,
      clock: this.#options.clock,
      send: (message) => this.#onSessionMessage(message),
      onDeviceLost: this.#options.onDeviceLost,
    });
    // Entered before the first await, so that two messages cannot open the same id.
    this.#sessions.set(sessionId, session);
    this.#opening.add(session);
    try {
      const localPort = await session.start();
      if (this.#sessions.get(sessionId) === session) {
        this.#options.send({ type: "sessionOpened", sessionId, localPort });
      } else {
        await session.close("it was closed while it opened");
      }
    } catch (error) {
      if (this.#sessions.get(sessionId) === session) {
        this.#sessions.delete(sessionId);
        this.#fail(sessionId, this.#whyNotOpened(error), (error as Error).message);
      }
    } finally {
      this.#opening.delete(session);
    }
  }

  #whyNotOpened(error: unknown): SessionErrorCode {
    if (PORT_PROBLEMS.includes((error as NodeJS.ErrnoException).code ?? "")) {
      return "port";
    }
    const { limitBytes, modelBytes, sessionBytes } = this.#options.engine.info().memory;
    const planned = modelBytes + (this.#sessions.size + 1) * sessionBytes;
    return limitBytes > 0 && planned > limitBytes ? "memory" : "refused";
  }

  async #forward(message: SessionMessage): Promise<void> {
    const session = this.#sessions.get(message.sessionId);
    if (session === undefined) {
      // A session that broke while the message was on its way.
      this.#log("debug", "a message for a session that is gone", { ...message });
      return;
    }
    if (message.type === "setTransform") {
      this.#setTransform(session, message);
    } else {
      this.#sessions.delete(message.sessionId);
      // One that is being opened lets go of its socket when that is done.
      if (!this.#opening.has(session)) {
        await session.close("closed by the server");
      }
    }
  }

  #setTransform(session: EngineSession, message: SetTransform): void {
    const { sessionId, revision, transform } = message;
    try {
      session.setTransform(transform, revision);
    } catch (error) {
      const problem = (error as Error).message;
      this.#options.send({ type: "transformRefused", sessionId, revision, message: problem });
      return;
    }
    this.#options.send({ type: "transformAccepted", sessionId, revision });
  }

  /** A session that reports a fatal error is closed, the others go on. */
  #onSessionMessage(message: EngineMessage): void {
    this.#options.send(message);
    if (message.type !== "sessionError" || !message.fatal) {
      return;
    }
    const session = this.#sessions.get(message.sessionId);
    this.#sessions.delete(message.sessionId);
    session?.close(message.message).catch((error: unknown) => {
      this.#log("error", "a broken session did not close", { problem: String(error) });
    });
  }

  #fail(sessionId: string, code: SessionErrorCode, message: string): void {
    this.#options.send({ type: "sessionError", sessionId, code, message, fatal: true });
  }

  #log(level: "debug" | "error", message: string, fields: Record<string, unknown>): void {
    this.#options.send({ type: "log", level, message, fields });
  }
}
