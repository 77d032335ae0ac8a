import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { freePortRange } from "./free-ports.ts";

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;
const READY = /^Driftless is ready: (http\S+)\/r\//;
/** Enough to explain a failure, without growing for ever. */
const LOG_LINES = 400;
const PORTS = 200;

/** How a server ended. */
export interface ServerEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** From the request to end (or from the start) until it was gone. */
  tookMs: number;
}

/** A server of this checkout, running for as long as the caller needs it. */
export interface ServerProcess {
  url: string;
  /** Of the server itself, not of a program that started it. */
  pid: number;
  /** First of the ports that media may use. */
  rtcMinPort: number;
  rtcMaxPort: number;
  /** The newest lines of its output. */
  log(): string;
  /** Resolves when it has ended, however. */
  readonly ended: Promise<ServerEnd>;
  /** Asks the server to stop and waits for it. */
  stop(): Promise<ServerEnd>;
}

export interface ServerOptions {
  /** Words before the command: ["ip", "netns", "exec", NAME] or ["faketime", "-f", "+0"]. */
  prefix?: string[];
  /** Program in place of server/main.ts, for instance one that has no engine. */
  main?: URL;
}

/** The person's own settings must not change what is measured; a caller names what it wants. */
function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^DRIFTLESS(__|_CONFIG$)/.test(name)),
  );
}

/**
 * Starts server/main.ts on 127.0.0.1 and any free ports.
 * @param env settings as `DRIFTLESS__SECTION__KEY`
 * @throws Error with the end of the server's output if it does not get ready
 */
export async function startServer(
  env: Record<string, string>,
  options: ServerOptions = {},
): Promise<ServerProcess> {
  const main = fileURLToPath(options.main ?? new URL("../server/main.ts", import.meta.url));
  const rtcMinPort = Number(env.DRIFTLESS__SFU__RTCMINPORT ?? (await freePortRange(PORTS)));
  const rtcMaxPort = Number(env.DRIFTLESS__SFU__RTCMAXPORT ?? rtcMinPort + PORTS - 1);
  const [command = process.execPath, ...args] = [
    ...(options.prefix ?? []),
    ...[process.execPath, main],
  ];
  const startedAtMs = performance.now();
  const child = spawn(command, args, {
    env: {
      ...withoutSettings(process.env),
      DRIFTLESS__HTTP__HOST: "127.0.0.1",
      DRIFTLESS__HTTP__PORT: "0",
      DRIFTLESS__SFU__RTCMINPORT: String(rtcMinPort),
      DRIFTLESS__SFU__RTCMAXPORT: String(rtcMaxPort),
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  // Whatever ends this process, the server must not stay behind.
  const killWithUs = () => void child.kill("SIGKILL");
  process.once("exit", killWithUs);
  let askedAtMs = startedAtMs;
  const ended = new Promise<ServerEnd>((resolve) => {
    child.once("exit", (code, signal) => {
      process.off("exit", killWithUs);
      resolve({ code, signal, tookMs: Math.round(performance.now() - askedAtMs) });
    });
  });
  const tail: string[] = [];
  const keep = (line: string) => {
    tail.push(line);
    if (tail.length > LOG_LINES) tail.shift();
  };
  createInterface({ input: child.stderr }).on("line", keep);
  const url = await untilReady(child, keep, () => tail.slice(-20).join("\n"));
  return {
    url,
    pid: child.pid ?? 0,
    rtcMinPort,
    rtcMaxPort,
    log: () => tail.join("\n"),
    ended,
    async stop() {
      askedAtMs = performance.now();
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
      const end = await ended;
      clearTimeout(timer);
      return end;
    },
  };
}

function untilReady(
  child: ChildProcess & { stdout: NonNullable<ChildProcess["stdout"]> },
  keep: (line: string) => void,
  tail: () => string,
): Promise<string> {
  const lines = createInterface({ input: child.stdout });
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      clearTimeout(timer);
      child.kill("SIGKILL");
      reject(new Error(`the server did not start (${why}):\n${tail()}`));
    };
    const timer = setTimeout(() => fail(`nothing in ${START_TIMEOUT_MS} ms`), START_TIMEOUT_MS);
    const onExit = (code: number | null) => fail(`exit code ${code}`);
    child.once("exit", onExit);
    child.once("error", (error) => fail(error.message));
    lines.on("line", (line) => {
      keep(line);
      const ready = READY.exec(line);
      if (!ready?.[1]) return;
      clearTimeout(timer);
      child.off("exit", onExit);
      resolve(ready[1]);
    });
  });
}
