/** The server program: settings in, one line with the room's address out, a clean end on a signal. */

import { createEngine } from "./app/engine.ts";
import { type RunningServer, startServer } from "./app/server.ts";
import { ConfigError, loadConfig } from "./config/load.ts";
import type { Config } from "./config/schema.ts";
import { toError } from "./errors.ts";
import { createLogger } from "./telemetry/logger.ts";

/** A clean end takes well under a second; what hangs longer is cut off. */
const CLOSE_LIMIT_MS = 4500;

function readConfig(): Config {
  try {
    return loadConfig({ env: process.env });
  } catch (error) {
    fail(error instanceof ConfigError ? error.message : String(toError(error).stack));
  }
}

function fail(message: string): never {
  process.stderr.write(`Driftless cannot start. ${message}\n`);
  process.exit(1);
}

let server: RunningServer | undefined;
let ending = false;

function end(why: string, code: number): void {
  // A second signal does not wait. Before the start is over there is nobody to say goodbye to;
  // the worker and engine processes end with their pipes to this one.
  if (ending || server === undefined) process.exit(code);
  ending = true;
  logger.info({ why }, "closing");
  setTimeout(() => {
    logger.error("closing took too long");
    process.exit(1);
  }, CLOSE_LIMIT_MS).unref();
  server.close().then(
    () => process.exit(code),
    (err: unknown) => {
      logger.error({ err }, "closing failed");
      process.exit(1);
    },
  );
}

const config = readConfig();
const logger = createLogger(config.log.level);
process.on("SIGTERM", () => end("SIGTERM", 0));
process.on("SIGINT", () => end("SIGINT", 0));
process.on("uncaughtException", (err) => {
  logger.fatal({ err }, "uncaught exception");
  end("uncaught exception", 1);
});

try {
  server = await startServer(config, logger, createEngine);
  process.stdout.write(`Driftless is ready: ${server.roomUrl}\n`);
} catch (error) {
  fail(toError(error).message);
}
