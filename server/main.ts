/** The server program: settings in, one line with the room's address out, a clean end on a signal. */

import { createEngine } from "./app/engine.ts";
import { type RunningServer, startServer } from "./app/server.ts";
import { ConfigError, loadConfig } from "./config/load.ts";
import type { Config } from "./config/schema.ts";
import { toError } from "./errors.ts";
import { createLogger } from "./telemetry/logger.ts";

/** A clean end takes well under a second; what hangs longer is cut off. Calls get time before. */
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
let draining = false;
let ending = false;

/** Lets the calls that go on come to their end; a second signal ends them. */
function drain(why: string): void {
  if (draining || server === undefined) {
    end(why, 0);
    return;
  }
  draining = true;
  logger.info({ why, seconds: config.limits.drainSeconds }, "nobody is let in any more");
  server.drain().then(
    () => ending || end(why, 0),
    (err: unknown) => {
      logger.error({ err }, "draining failed");
      end(why, 1);
    },
  );
}

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
process.on("SIGTERM", () => drain("SIGTERM"));
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
