/** The repainting part of a server: the supervised engine processes and the transforms they serve. */
import type { Config } from "../config/schema.ts";
import { Admission } from "../domain/admission.ts";
import type { Rooms } from "../domain/rooms.ts";
import { schedule } from "../domain/schedule.ts";
import { createEngineMetrics } from "../engine/metrics.ts";
import { EnginePool } from "../engine/pool.ts";
import type { MediaService } from "../media/media-service.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { TransformCounters } from "../transform/counters.ts";
import { engineSettings } from "../transform/engine-settings.ts";
import { secureRandom } from "../transform/random.ts";
import { TransformService, type Transforms } from "../transform/service.ts";

/** The part of the server that repaints, started and stopped with it. */
export interface Engine {
  readonly transforms: Transforms;
  /** False until the first one has started. */
  readonly ready: boolean;
  /** True while some engine should be up and is not: rooms work, with fewer repainted cameras. */
  readonly degraded: boolean;
  /** Takes no new sessions any more. */
  drain(): void;
  start(): Promise<void>;
  close(): Promise<void>;
}

export interface EngineDeps {
  config: Config;
  rooms: Rooms;
  media: MediaService;
  logger: Logger;
  metrics: Metrics;
}

export type CreateEngine = (deps: EngineDeps) => Engine;

export function createEngine({ config, rooms, media, logger, metrics }: EngineDeps): Engine {
  const { modelDir, backend, dtype, promptEncoder, videoEncoder, videoDecoder } = config.engine;
  const { computeThreads, maxSessions, memoryLimitMb } = config.engine;
  const { bitrateBps, lowLayerBitrateBps, maxFps, delayBudgetMs } = config.engine;
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
  const { limits } = config;
  const admission = new Admission(
    {
      perRoom: limits.maxTransformsPerRoom,
      perIdentity: limits.maxTransformsPerIdentity,
      perAddress: limits.maxTransformsPerAddress,
      queueLength: limits.transformQueue,
    },
    () => performance.now(),
  );
  let places = backends.length * maxSessions;
  const refreshPlaces = () => {
    // An engine that restarts has as many places as it had.
    if (engines.places.limit !== null) places = engines.places.total;
    admission.setPlaces(places);
  };
  refreshPlaces();
  engines.onPlacesFree(refreshPlaces);
  const transforms = new TransformService(rooms, {
    engine: engines,
    logger,
    random: secureRandom,
    schedule,
    admission,
    counters: new TransformCounters(engineMetrics),
    refreshPlaces,
    config: {
      bitrateBps,
      // A GPU's encoder has its pictures where the lower layer cannot be made of them.
      lowLayerBitrateBps: videoEncoder === "nvenc" ? 0 : lowLayerBitrateBps,
      maxFps,
      delayBudgetMs,
    },
    toEngine: engineSettings,
    createTap: async (room, participant, request) => {
      const roomMedia = await media.of(room);
      return roomMedia.createTap(participant, request);
    },
  });
  let started = false;
  return {
    transforms,
    get ready() {
      return started;
    },
    get degraded() {
      return engines.health.up < engines.health.configured;
    },
    drain: () => engines.drain(),
    async start() {
      await engines.start();
      started = true;
    },
    async close() {
      transforms.close();
      await engines.close();
    },
  };
}
