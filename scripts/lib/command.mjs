import { spawn, spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname } from "node:path";
import { SetupError } from "./steps.mjs";

/**
 * Runs a command to its end and returns what it printed.
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, timeoutMs?: number }} [options]
 * @returns {{ status: number | null, stdout: string, stderr: string }} status null: not started or killed
 */
export function capture(command, args, { env = process.env, timeoutMs = 30_000 } = {}) {
  const result = spawnSync(command, args, { encoding: "utf8", env, timeout: timeoutMs });
  return { status: result.status, stdout: result.stdout ?? "", stderr: result.stderr ?? "" };
}

/**
 * Hands the signals that should end this process to `deliver`, until `stop` is called.
 * @param {(signal: NodeJS.Signals) => void} deliver
 * @returns {{ stop: () => void, received: () => NodeJS.Signals | null }}
 */
function catchSignals(deliver) {
  /** @type {NodeJS.Signals | null} */
  let last = null;
  /** @type {NodeJS.Signals[]} */
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  const handler = (/** @type {NodeJS.Signals} */ signal) => {
    last = signal;
    deliver(signal);
  };
  for (const signal of signals) process.on(signal, handler);
  const stop = () => {
    for (const signal of signals) process.off(signal, handler);
  };
  return { stop, received: () => last };
}

/**
 * Runs a long command with its output in a log file; a failure shows the end of that log. A signal
 * ends the command first and then this process.
 * @param {string} command
 * @param {string[]} args
 * @param {{ logFile: string, cwd: string, env?: NodeJS.ProcessEnv, append?: boolean }} options
 * @returns {Promise<void>}
 */
export async function runLogged(
  command,
  args,
  { logFile, cwd, env = process.env, append = false },
) {
  mkdirSync(dirname(logFile), { recursive: true });
  const log = openSync(logFile, append ? "a" : "w");
  const line = [command, ...args].join(" ");
  try {
    // Before the command starts: none that comes once it runs may end this process alone.
    const signals = catchSignals((signal) => {
      if (child.pid) process.kill(-child.pid, signal);
    });
    // A group of its own: a signal has to reach the compilers below cmake and ninja too.
    const child = spawn(command, args, { cwd, env, detached: true, stdio: ["ignore", log, log] });
    const { code, error } = await new Promise((resolve) => {
      child.on("error", (error) => resolve({ code: null, error }));
      child.on("close", (code) => resolve({ code, error: null }));
    });
    signals.stop();
    const signal = signals.received();
    if (signal) process.exit(128 + constants.signals[signal]);
    if (code === 0) return;
    const tail = readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-40).join("\n");
    const reason = error ? error.message : `exit code ${code}`;
    throw new SetupError(
      `\`${line}\` failed (${reason}). The end of ${logFile}:\n\n${tail}\n`,
      `cd ${cwd} && ${line}`,
    );
  } finally {
    closeSync(log);
  }
}

/**
 * Runs a program in the foreground, hands signals on to it and waits until it has ended.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd: string, env: NodeJS.ProcessEnv }} options
 * @returns {Promise<number>} its exit code, 128 + n if signal n ended it
 */
export function runForeground(command, args, options) {
  return new Promise((resolve) => {
    const signals = catchSignals((signal) => {
      // A terminal sends Ctrl-C to the whole group: the child has its own copy already.
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    });
    const child = spawn(command, args, { ...options, stdio: "inherit" });
    const finish = (/** @type {number} */ code) => {
      signals.stop();
      resolve(code);
    };
    child.on("error", (error) => {
      console.error(`could not start ${command}: ${error.message}`);
      finish(127);
    });
    child.on("close", (code, signal) => {
      finish(code ?? 128 + (signal ? constants.signals[signal] : 0));
    });
  });
}
