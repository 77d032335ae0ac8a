/** The repainting part of a server: the supervised engine process and the transforms it serves. */
import type { Config } from "./config/schema.ts";
import { createEngineMetrics } from "./engine/metrics.ts";
import { EngineSupervisor } from "./engine/supervisor.ts";
import type { Engine } from "./start.ts";
import type { Logger } from "./telemetry/logger.ts";
import type { Metrics } from "./telemetry/metrics.ts";
import { TransformManager } from "./transform/manager.ts";

/** The engine runs on this machine; its media links stay on loopback. */
const ENGINE_IP = "127.0.0.1";

export function createEngine(config: Config, logger: Logger, metrics: Metrics): Engine {
  const { modelDir, backend, dtype, promptEncoder } = config.engine;
  const { computeThreads, maxSessions, memoryLimitMb } = config.engine;
  const { bitrateBps, maxFps, delayBudgetMs } = config.engine;
  const engineMetrics = createEngineMetrics(metrics.registry);
  const supervisor = new EngineSupervisor({
    engine: {
      modelDir,
      backend,
      dtype,
      promptEncoder,
      computeThreads,
      maxSessions,
      memoryLimitMb,
    },
    logger,
    metrics: engineMetrics,
  });
  const transforms = new TransformManager({
    engine: supervisor,
    logger,
    metrics,
    engineMetrics,
    config: { engineIp: ENGINE_IP, bitrateBps, maxFps, delayBudgetMs },
  });
  return {
    transforms,
    get ready() {
      return supervisor.state === "ready";
    },
    start: () => supervisor.start(),
    async close() {
      await transforms.close();
      await supervisor.close();
    },
  };
}
