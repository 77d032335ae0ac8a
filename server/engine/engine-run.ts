/** One life of an engine over its link: starts it, checks its words, notices silence and the end. */

import { HeartbeatWatch } from "../telemetry/heartbeat-watch.ts";
import type { EngineEnd, EngineLink, OpenEngineLink } from "./link/engine-link.ts";
import type { EngineMessage, EngineOptions, ServerMessage } from "./protocol.ts";
import { engineMessageSchema } from "./protocol.ts";

/** How an engine's life ended: by itself, or because it was ended for a reason. */
export interface RunEnd extends Omit<EngineEnd, "cause"> {
  /** Also `silent`: it hung; `late`: it did not get ready; `failed`: it said why it cannot start. */
  cause: EngineEnd["cause"] | "silent" | "late" | "failed";
}

export interface EngineRunOptions {
  openLink: OpenEngineLink;
  engine: EngineOptions;
  /** Silence after which a running engine counts as hung. */
  heartbeatLimitMs: number;
  /** Time to load model and addon, during which heartbeats may be missing. */
  startLimitMs: number;
  onMessage: (message: EngineMessage) => void;
  /** A message that does not fit the protocol. */
  onBadMessage: (problem: string) => void;
  /** Once. */
  onEnd: (end: RunEnd) => void;
}

const CHECK_MS = 100;

export class EngineRun {
  readonly link: EngineLink;
  readonly #options: EngineRunOptions;
  readonly #watch: HeartbeatWatch;
  readonly #startedAtMs = performance.now();
  readonly #timer: NodeJS.Timeout;
  #ready = false;
  /** Why it ends, where we or it know better than the link. */
  #verdict: Pick<RunEnd, "reason" | "cause"> | null = null;

  constructor(options: EngineRunOptions) {
    this.#options = options;
    this.#watch = new HeartbeatWatch(options.heartbeatLimitMs, CHECK_MS);
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
    // Who watches does not stay for the sake of watching.
    this.#timer.unref();
    this.link = options.openLink({
      onMessage: (raw) => this.#onMessage(raw),
      onEnd: (end) => {
        clearInterval(this.#timer);
        options.onEnd({ ...end, ...this.#verdict });
      },
    });
    this.send({ type: "start", options: options.engine });
  }

  send(message: ServerMessage): void {
    this.link.send(message);
  }

  /** Asks the engine to end, and makes it. Resolves when it is gone. */
  shutdown(): Promise<void> {
    return this.link.shutdown();
  }

  #onMessage(raw: unknown): void {
    this.#watch.beat();
    const parsed = engineMessageSchema.safeParse(raw);
    if (!parsed.success) {
      this.#options.onBadMessage(parsed.error.message);
      return;
    }
    const message = parsed.data;
    if (message.type === "failed") {
      this.#verdict = { reason: message.message, cause: "failed" };
    } else if (message.type !== "heartbeat") {
      this.#ready ||= message.type === "ready";
      this.#options.onMessage(message);
    }
  }

  #check(): void {
    const { startLimitMs, heartbeatLimitMs } = this.#options;
    const nowMs = performance.now();
    const silent = this.#watch.check(nowMs);
    if (!this.#ready && nowMs - this.#startedAtMs > startLimitMs) {
      this.#kill({ reason: `it was not ready after ${startLimitMs} ms`, cause: "late" });
    } else if (this.#ready && silent) {
      this.#kill({ reason: `it was silent for ${heartbeatLimitMs} ms`, cause: "silent" });
    }
  }

  #kill(verdict: Pick<RunEnd, "reason" | "cause">): void {
    this.#verdict ??= verdict;
    this.link.kill();
  }
}
