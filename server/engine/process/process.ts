/**
 * Life of an engine process: loads the engine when told to, reports a heartbeat, and never outlives
 * its parent. The loader is a parameter, so that tests can run the same process with another engine.
 */
import { Worker } from "node:worker_threads";
import { BlackBoxWriter } from "../black-box.ts";
import type { EngineMessage, EngineOptions } from "../protocol.ts";
import { serverMessageSchema } from "../protocol.ts";
import { systemClock } from "./clock.ts";
import { EngineHost } from "./host.ts";
import type { NativeEngine } from "./native.ts";
import { noteCalls } from "./noted-engine.ts";

export type EngineLoader = (options: EngineOptions) => Promise<NativeEngine>;

const HEARTBEAT_MS = 250;
const DEVICE_LOST_EXIT = 3;
/** A close that hangs in native code must not keep the process alive. */
const EXIT_PATIENCE_MS = 2000;

/** Runs the process; returns at once, events do the rest. Must be a child with an IPC channel. */
export function runEngineProcess(load: EngineLoader): void {
  if (process.send === undefined) {
    process.stderr.write("The engine is started by the server and needs its IPC channel.\n");
    process.exitCode = 2;
    return;
  }
  const watch = new URL("./parent-watch.ts", import.meta.url);
  new Worker(watch, { workerData: { parentPid: process.ppid } }).unref();
  let host: EngineHost | null = null;
  let engine: NativeEngine | null = null;
  let closing = false;

  const send = (message: EngineMessage, sent: () => void = () => undefined): void => {
    if (process.connected) {
      // A failed send means that the parent is gone; "disconnect" then ends this process.
      process.send?.(message, undefined, {}, sent);
    }
  };

  const shutdown = async (exitCode: number): Promise<void> => {
    if (closing) {
      return;
    }
    closing = true;
    setTimeout(() => process.exit(exitCode), EXIT_PATIENCE_MS).unref();
    await host?.close();
    await engine?.close();
    process.exit(exitCode);
  };
  const end = (exitCode: number): void => {
    shutdown(exitCode).catch(() => process.exit(exitCode));
  };

  /** The server takes the end for a crash: it starts another process and moves the sessions there. */
  const onDeviceLost = (message: string): void => {
    const text = "the GPU is lost, the engine ends";
    const fields = { problem: message };
    send({ type: "log", level: "error", message: text, fields }, () => end(DEVICE_LOST_EXIT));
  };

  const start = async (options: EngineOptions): Promise<void> => {
    try {
      const loaded = await load(options);
      const box = BlackBoxWriter.fromEnvironment();
      engine = box === null ? loaded : noteCalls(loaded, box);
    } catch (error) {
      // Only what was sent before the exit arrives.
      send({ type: "failed", message: (error as Error).message }, () => end(1));
      return;
    }
    host = new EngineHost({
      engine,
      maxSessions: options.maxSessions,
      clock: systemClock,
      send,
      onDeviceLost,
    });
    send({ type: "ready", info: engine.info() });
  };

  process.on("message", (raw) => {
    const parsed = serverMessageSchema.safeParse(raw);
    if (parsed.success && parsed.data.type === "start") {
      start(parsed.data.options).catch(() => end(1));
    } else if (parsed.success && parsed.data.type === "shutdown") {
      end(0);
    } else {
      host?.handle(raw).catch((error: unknown) => {
        send({ type: "log", level: "error", message: String(error), fields: {} });
      });
    }
  });
  process.on("disconnect", () => end(0));
  process.on("SIGTERM", () => end(0));
  // Ctrl-C reaches the whole group; the server decides when its engine ends.
  process.on("SIGINT", () => undefined);
  setInterval(() => send({ type: "heartbeat" }), HEARTBEAT_MS);
}
