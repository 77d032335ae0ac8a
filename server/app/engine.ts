/** The repainting part of a server: the supervised engine processes and the transforms they serve. */
import type { Config } from "../config/schema.ts";
import { createEngineMetrics } from "../engine/metrics.ts";
import { EnginePool } from "../engine/pool.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { TransformManager } from "../transform/manager.ts";
import type { Engine } from "./server.ts";

/** The engine runs on this machine; its media links stay on loopback. */
const ENGINE_IP = "127.0.0.1";

export function createEngine(config: Config, logger: Logger, metrics: Metrics): Engine {
  const { modelDir, backend, dtype, promptEncoder, videoEncoder, videoDecoder } = config.engine;
  const { computeThreads, maxSessions, memoryLimitMb } = config.engine;
  const { bitrateBps, maxFps, delayBudgetMs } = config.engine;
  const engineMetrics = createEngineMetrics(metrics.registry);
  const options = {
    ...{ modelDir, dtype, promptEncoder, videoEncoder, videoDecoder },
    ...{ computeThreads, maxSessions, memoryLimitMb },
  };
  const backends = backend.split(";").map((part) => part.trim());
  const engines = new EnginePool({
    metrics: engineMetrics,
    engines: backends.map((part) => ({
      engine: { ...options, backend: part },
      logger: backends.length > 1 ? logger.child({ engine: part }) : logger,
      metrics: engineMetrics,
    })),
  });
  engineMetrics.engines.set(backends.length);
  const transforms = new TransformManager({
    engine: engines,
    logger,
    metrics,
    engineMetrics,
    config: { engineIp: ENGINE_IP, bitrateBps, maxFps, delayBudgetMs },
  });
  return {
    transforms,
    get ready() {
      return engines.ready;
    },
    start: () => engines.start(),
    async close() {
      await transforms.close();
      await engines.close();
    },
  };
}
