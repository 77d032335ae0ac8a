/**
 * The way to one engine, for one life of it: a child process of this server today. Whoever is above
 * knows messages, an address for media and an end; not what carries them.
 */
import type { ServerMessage } from "../protocol.ts";

/** What an engine was doing for which session shortly before it ended. */
export interface EngineTrace {
  /** The session in whose name the native code had been called and had not returned. */
  inCall: string | null;
  /** Sessions that the native code was given something of, the latest first. */
  recent: readonly string[];
}

export const NO_TRACE: EngineTrace = { inCall: null, recent: [] };

export interface EngineEnd {
  /** For people: "it got SIGSEGV". */
  reason: string;
  /**
   * `exit` by itself with an error, `signal` a crash, `killed` by somebody outside (an operator, a
   * system without memory), `lost` the way to it broke.
   */
  cause: "exit" | "signal" | "killed" | "lost";
  trace: EngineTrace;
}

export interface EngineLinkListener {
  /** Whatever came, unchecked. */
  onMessage(raw: unknown): void;
  /** Once, when nothing can come any more. */
  onEnd(end: EngineEnd): void;
}

export interface EngineLink {
  /** For logs, such as "process 1234". */
  readonly name: string;
  /** Of an engine on this machine. */
  readonly pid: number | undefined;
  /** Address of the engine's media sockets, as mediasoup reaches it and the engine binds it. */
  readonly engineIp: string;
  /** Sends a message; to an engine that is gone it is dropped, the end tells. */
  send(message: ServerMessage): void;
  /** Asks the engine to end, and makes it where it does not. Resolves when it is gone. */
  shutdown(): Promise<void>;
  /** Ends the engine now: it hangs. */
  kill(): void;
}

/** Starts an engine, or connects to one. */
export type OpenEngineLink = (listener: EngineLinkListener) => EngineLink;
