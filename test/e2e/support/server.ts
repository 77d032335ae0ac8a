import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import path from "node:path";
import { freePortRange } from "../../../loadtest/free-ports.ts";
import { ROOT } from "./paths.ts";

/** A Driftless server of our own, on ports of its own, with default settings otherwise. */
export interface TestServer {
  /** Address of the page, without a slash at the end. */
  origin: string;
  /** What the server wrote so far, newest last. */
  log(): string;
  /** Kills the engine process as a crash would (SIGKILL); the result is its process id. */
  killEngine(): number;
  /** Ends the server and waits until it is gone. */
  stop(): Promise<void>;
}

/** How many ports a server of the tests gets. */
const PORTS = 200;
/** Loading the model and starting the workers on a busy machine. */
const START_LIMIT_MS = 40_000;
const STOP_LIMIT_MS = 8_000;

/**
 * Starts server/main.ts and waits for its "ready" line. Throws with the server's output.
 * @param overrides whole sections of the configuration in place of the test's own
 */
export async function startServer(overrides: Record<string, object> = {}): Promise<TestServer> {
  const folder = mkdtempSync(path.join(tmpdir(), "driftless-e2e-"));
  const port = await freePort();
  const config = path.join(folder, "config.yaml");
  const rtcMinPort = await freePortRange(PORTS);
  const settings = {
    http: { host: "127.0.0.1", port },
    sfu: { workers: 1, listenIp: "127.0.0.1", rtcMinPort, rtcMaxPort: rtcMinPort + PORTS - 1 },
    ...overrides,
  };
  // Every JSON text is YAML.
  writeFileSync(config, JSON.stringify(settings));
  const child = spawn(process.execPath, ["server/main.ts"], {
    cwd: ROOT,
    env: { ...withoutSettings(process.env), DRIFTLESS_CONFIG: config },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output: string[] = [];
  const keep = (data: Buffer): void => {
    output.push(data.toString());
    // Enough to explain a failure, without growing for ever.
    if (output.length > 2_000) output.splice(0, 1_000);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  // Whatever ends this process, the server must not stay behind.
  const killWithUs = (): void => void child.kill("SIGKILL");
  process.once("exit", killWithUs);
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const log = (): string => output.join("");

  try {
    await until(() => /Driftless is ready: /.test(log()), child, log);
  } catch (error) {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    origin: `http://127.0.0.1:${port}`,
    log,
    killEngine() {
      const engine = enginePid(child.pid ?? -1);
      process.kill(engine, "SIGKILL");
      return engine;
    },
    async stop() {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
      await exited;
      clearTimeout(timer);
      process.off("exit", killWithUs);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * An IPv4 address of this machine that other machines could reach. Firefox leaves candidates of
 * 127.0.0.1 out, so a server for it listens here. Throws where the machine has none.
 */
export function ownAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    const found = addresses?.find(({ family, internal }) => family === "IPv4" && !internal);
    if (found !== undefined) return found.address;
  }
  throw new Error("expected an IPv4 address besides 127.0.0.1, found none");
}

/** Media settings of a server that Firefox reaches. */
export async function mediaForFirefox(): Promise<object> {
  const listenIp = ownAddress();
  const rtcMinPort = await freePortRange(PORTS, Math.random, listenIp);
  return { workers: 1, listenIp, rtcMinPort, rtcMaxPort: rtcMinPort + PORTS - 1 };
}

/** The person's own settings must not change what is tested. */
function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !name.startsWith("DRIFTLESS__")),
  );
}

async function until(ready: () => boolean, child: ChildProcess, log: () => string): Promise<void> {
  const deadline = Date.now() + START_LIMIT_MS;
  while (!ready()) {
    if (child.exitCode !== null) throw new Error(`the server ended while starting:\n${log()}`);
    if (Date.now() > deadline) {
      throw new Error(`expected the server to be ready in ${START_LIMIT_MS} ms:\n${log()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The child of the server whose command line names the engine's program. */
function enginePid(serverPid: number): number {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = readProc(name, "stat");
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    if (parent === serverPid && readProc(name, "cmdline").includes("server/engine/")) {
      return Number(name);
    }
  }
  throw new Error(`expected an engine process below the server (pid ${serverPid}), found none`);
}

function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    // The process ended between the listing and this line.
    return "";
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => {
        if (address === null || typeof address === "string") {
          reject(new Error(`expected a port, got ${String(address)}`));
        } else {
          resolve(address.port);
        }
      });
    });
  });
}
