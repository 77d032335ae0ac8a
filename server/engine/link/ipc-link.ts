/** An engine in a child process of this server: messages by Node's IPC, media over loopback. */
import { type ChildProcess, fork } from "node:child_process";
import { BlackBoxReader } from "../black-box.ts";
import type { ServerMessage } from "../protocol.ts";
import type { EngineEnd, EngineLink, EngineLinkListener, OpenEngineLink } from "./engine-link.ts";

/** The engine runs on this machine; its media stay on loopback. */
const LOOPBACK = "127.0.0.1";
/** How long an asked-for shutdown may take. */
const SHUTDOWN_LIMIT_MS = 3000;
/** Signals that no process gets by its own fault. */
const OUTSIDE: NodeJS.Signals[] = ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"];

/** @param entry module that the process runs */
export function ipcLink(entry: string): OpenEngineLink {
  return (listener) => new IpcLink(entry, listener);
}

class IpcLink implements EngineLink {
  readonly engineIp = LOOPBACK;
  readonly #listener: EngineLinkListener;
  readonly #process: ChildProcess;
  readonly #blackBox: BlackBoxReader;
  readonly #ended: Promise<void>;

  constructor(entry: string, listener: EngineLinkListener) {
    this.#listener = listener;
    this.#blackBox = new BlackBoxReader();
    // Its output joins our log on stderr: stdout belongs to the server's own lines.
    this.#process = fork(entry, [], {
      execArgv: [],
      env: { ...process.env, ...BlackBoxReader.childEnvironment },
      stdio: ["ignore", 2, 2, "ipc", this.#blackBox.descriptor],
    });
    this.#process.on("message", (raw) => listener.onMessage(raw));
    this.#ended = new Promise((resolve) => {
      this.#process.on("error", (error) => {
        // "exit" does not follow when the process could not even be made.
        if (this.#process.pid === undefined) {
          this.#end({ reason: error.message, cause: "lost" });
          resolve();
        }
      });
      this.#process.once("exit", (code, signal) => {
        this.#end(
          signal === null
            ? { reason: `it exited with code ${code}`, cause: code === 0 ? "killed" : "exit" }
            : { reason: `it got ${signal}`, cause: OUTSIDE.includes(signal) ? "killed" : "signal" },
        );
        resolve();
      });
    });
  }

  get name(): string {
    return `process ${this.pid ?? "that did not start"}`;
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

  async shutdown(): Promise<void> {
    this.send({ type: "shutdown" });
    const force = setTimeout(() => this.kill(), SHUTDOWN_LIMIT_MS);
    await this.#ended;
    clearTimeout(force);
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }

  #end(end: Omit<EngineEnd, "trace">): void {
    const trace = this.#blackBox.read();
    this.#blackBox.close();
    this.#listener.onEnd({ ...end, trace });
  }
}
