/** One engine process as the server sees it: start, messages, silence, end. */
import { type ChildProcess, fork } from "node:child_process";
import { HeartbeatWatch } from "../../telemetry/heartbeat-watch.ts";
import type { EngineMessage, EngineOptions, ServerMessage } from "../protocol.ts";
import { engineMessageSchema } from "../protocol.ts";

export interface EngineChildOptions {
  /** Module that the process runs. */
  entry: string;
  engine: EngineOptions;
  /** Silence after which a running engine counts as hung. */
  heartbeatLimitMs: number;
  /** Time to load model and addon, during which heartbeats may be missing. */
  startLimitMs: number;
  onMessage: (message: EngineMessage) => void;
  /** A message that does not fit the protocol. */
  onBadMessage: (problem: string) => void;
  /** Once; `reason` is for people. */
  onExit: (reason: string) => void;
}

const CHECK_MS = 100;
/** How long an asked-for shutdown may take. */
const SHUTDOWN_LIMIT_MS = 3000;

export class EngineChild {
  readonly #options: EngineChildOptions;
  readonly #process: ChildProcess;
  readonly #watch: HeartbeatWatch;
  readonly #startedAtMs = performance.now();
  readonly #timer: NodeJS.Timeout;
  readonly #exited: Promise<void>;
  #ready = false;
  /** Why we ended it, where we did. */
  #endReason: string | null = null;

  constructor(options: EngineChildOptions) {
    this.#options = options;
    this.#watch = new HeartbeatWatch(options.heartbeatLimitMs, CHECK_MS);
    // Its output joins our log on stderr: stdout belongs to the server's own lines.
    this.#process = fork(options.entry, [], { execArgv: [], stdio: ["ignore", 2, 2, "ipc"] });
    this.#process.on("message", (raw) => this.#onMessage(raw));
    this.#exited = new Promise((resolve) => {
      this.#process.on("error", (error) => {
        // "exit" does not follow when the process could not even be made.
        if (this.#process.pid === undefined) {
          this.#onEnd(error.message, resolve);
        }
      });
      this.#process.once("exit", (code, signal) => {
        this.#onEnd(signal === null ? `it exited with code ${code}` : `it got ${signal}`, resolve);
      });
    });
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
    this.send({ type: "start", options: options.engine });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  send(message: ServerMessage): void {
    if (this.#process.connected) {
      // A failure means that the process is gone, which "exit" reports.
      this.#process.send(message, () => undefined);
    }
  }

  /** Asks the process to end, and makes it. Resolves when it is gone. */
  async shutdown(): Promise<void> {
    this.#endReason = "it was asked to end";
    this.send({ type: "shutdown" });
    const force = setTimeout(() => this.#process.kill("SIGKILL"), SHUTDOWN_LIMIT_MS);
    await this.#exited;
    clearTimeout(force);
  }

  #onMessage(raw: unknown): void {
    this.#watch.beat();
    const parsed = engineMessageSchema.safeParse(raw);
    if (!parsed.success) {
      this.#options.onBadMessage(parsed.error.message);
      return;
    }
    this.#ready ||= parsed.data.type === "ready";
    if (parsed.data.type !== "heartbeat") {
      this.#options.onMessage(parsed.data);
    }
  }

  #check(): void {
    const nowMs = performance.now();
    const silent = this.#watch.check(nowMs);
    if (!this.#ready && nowMs - this.#startedAtMs > this.#options.startLimitMs) {
      this.#kill(`it was not ready after ${this.#options.startLimitMs} ms`);
    } else if (this.#ready && silent) {
      this.#kill(`it was silent for ${this.#options.heartbeatLimitMs} ms`);
    }
  }

  #kill(reason: string): void {
    this.#endReason ??= reason;
    this.#process.kill("SIGKILL");
  }

  #onEnd(reason: string, resolve: () => void): void {
    clearInterval(this.#timer);
    resolve();
    this.#options.onExit(this.#endReason ?? reason);
  }
}
