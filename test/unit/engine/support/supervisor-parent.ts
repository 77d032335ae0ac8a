/**
 * A server process reduced to its supervisor; it tells the engine's process id to the test. Its
 * argument is the model's name.
 */
import path from "node:path";
import { Registry } from "prom-client";
import { ipcLink } from "../../../../server/engine/link/ipc-link.ts";
import { createEngineMetrics } from "../../../../server/engine/metrics.ts";
import { EngineSupervisor } from "../../../../server/engine/supervisor.ts";
import { createLogger } from "../../../../server/telemetry/logger.ts";

const supervisor = new EngineSupervisor({
  engine: {
    modelDir: process.argv[2] ?? "echo",
    backend: "cpu",
    computeThreads: 1,
    maxSessions: 1,
  },
  logger: createLogger("silent"),
  metrics: createEngineMetrics(new Registry()),
  // Here it is the engine that has to notice.
  heartbeatLimitMs: 600_000,
  openLink: ipcLink(path.join(import.meta.dirname, "echo-child.ts")),
});
await supervisor.start();
process.send?.(supervisor.pid);
