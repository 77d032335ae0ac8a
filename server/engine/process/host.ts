/**
 * The engine process' side of the protocol: sessions by id, and an answer to each message. Knows
 * neither the process nor the addon, so that tests can host any NativeEngine.
 */

import type { EngineMessage, OpenSession, ServerMessage } from "../protocol.ts";
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

type SessionMessage = Exclude<ServerMessage, { type: "start" | "shutdown" | "openSession" }>;

export class EngineHost {
  readonly #options: EngineHostOptions;
  readonly #sessions = new Map<string, EngineSession>();

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
    if (this.#sessions.has(sessionId)) {
      this.#fail(sessionId, `expected a new session id, received ${sessionId} a second time`);
      return;
    }
    if (this.#sessions.size >= this.#options.maxSessions) {
      this.#fail(
        sessionId,
        `all ${this.#options.maxSessions} places for repainted cameras are taken`,
      );
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
    try {
      const localPort = await session.start();
      this.#options.send({ type: "sessionOpened", sessionId, localPort });
    } catch (error) {
      this.#sessions.delete(sessionId);
      this.#fail(sessionId, (error as Error).message);
    }
  }

  async #forward(message: SessionMessage): Promise<void> {
    const session = this.#sessions.get(message.sessionId);
    if (session === undefined) {
      // A session that broke while the message was on its way.
      this.#log("debug", "a message for a session that is gone", { ...message });
      return;
    }
    try {
      switch (message.type) {
        case "setTransform":
          session.setTransform(message.transform, message.revision);
          break;
        case "setBitrate":
          session.setBitrate(message.bitrateBps);
          break;
        case "requestKeyFrame":
          session.requestKeyFrame();
          break;
        case "closeSession":
          this.#sessions.delete(message.sessionId);
          await session.close("closed by the server");
          break;
      }
    } catch (error) {
      this.#fail(message.sessionId, (error as Error).message, false);
    }
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

  #fail(sessionId: string, message: string, fatal = true): void {
    this.#options.send({ type: "sessionError", sessionId, message, fatal });
  }

  #log(level: "debug" | "error", message: string, fields: Record<string, unknown>): void {
    this.#options.send({ type: "log", level, message, fields });
  }
}
