import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;
const READY = /^Driftless is ready: (http\S+)\/r\//;

/** A server of this checkout, running on loopback for as long as the caller needs it. */
export interface ServerProcess {
  url: string;
  pid: number;
  /** Asks the server to stop and waits for it. */
  stop(): Promise<void>;
}

function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once("exit", () => resolve()));
}

/**
 * Starts server/main.ts on 127.0.0.1 and any free port.
 * @param env settings as `DRIFTLESS__SECTION__KEY`
 * @throws Error with the end of the server's output if it does not get ready
 */
export async function startServer(env: Record<string, string>): Promise<ServerProcess> {
  const main = fileURLToPath(new URL("../server/main.ts", import.meta.url));
  const child = spawn(process.execPath, [main], {
    env: { ...process.env, DRIFTLESS__HTTP__HOST: "127.0.0.1", DRIFTLESS__HTTP__PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const tail: string[] = [];
  const keep = (line: string) => {
    tail.push(line);
    if (tail.length > 20) tail.shift();
  };
  createInterface({ input: child.stderr }).on("line", keep);
  const lines = createInterface({ input: child.stdout });
  const url = await new Promise<string>((resolve, reject) => {
    const fail = (why: string) => {
      child.kill("SIGKILL");
      reject(new Error(`the server did not start (${why}):\n${tail.join("\n")}`));
    };
    const timer = setTimeout(() => fail(`nothing in ${START_TIMEOUT_MS} ms`), START_TIMEOUT_MS);
    child.once("exit", (code) => fail(`exit code ${code}`));
    lines.on("line", (line) => {
      keep(line);
      const ready = READY.exec(line);
      if (!ready?.[1]) return;
      clearTimeout(timer);
      child.removeAllListeners("exit");
      resolve(ready[1]);
    });
  });
  return {
    url,
    pid: child.pid ?? 0,
    async stop() {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
      await exited(child);
      clearTimeout(timer);
    },
  };
}
