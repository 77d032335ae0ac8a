/**
 * Metrics of the engine and the transforms. Labels are bounded by construction: states, reasons and
 * stages, never a room or a participant.
 */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";

const DELAY_BUCKETS_MS = [100, 150, 200, 300, 400, 500, 750, 1000, 1500, 2000, 3000, 5000];
const STAGE_BUCKETS_MS = [1, 2, 5, 10, 20, 50, 100, 150, 200, 300, 500, 1000];

export type EngineMetrics = ReturnType<typeof createEngineMetrics>;

/** Creates them on the server's registry. */
export function createEngineMetrics(registry: Registry) {
  const registers = [registry];
  return {
    engineUp: new Gauge({
      name: "driftless_engine_up",
      help: "Engine processes that are ready.",
      registers,
    }),
    engines: new Gauge({
      name: "driftless_engines",
      help: "Engine processes that should be ready: one for each part of engine.backend.",
      registers,
    }),
    engineRestarts: new Counter({
      name: "driftless_engine_restarts_total",
      help: "Crashes and hangs of the engine process.",
      registers,
    }),
    engineCrashes: new Counter({
      name: "driftless_engine_crashes_total",
      help: "Ends of engine processes that nobody asked for, by cause (exit, signal, killed: by somebody outside, silent: it hung, late: it did not get ready, failed: it could not load, lost: the way to it broke) and by engine (shared, quarantine).",
      labelNames: ["cause", "engine"] as const,
      registers,
    }),
    engineGaveUp: new Counter({
      name: "driftless_engine_gave_up_total",
      help: "Times that an engine crashed again and again with nobody in it, and is tried more rarely.",
      registers,
    }),
    engineQuarantined: new Gauge({
      name: "driftless_engine_quarantined",
      help: "Sessions that crashed an engine twice and are tried alone, or wait for it.",
      registers,
    }),
    engineQuarantines: new Counter({
      name: "driftless_engine_quarantines_total",
      help: "Sessions that were tried alone, by what became of them: tried (all), refused for good, released.",
      labelNames: ["outcome"] as const,
      registers,
    }),
    enginePlaces: new Gauge({
      name: "driftless_engine_places",
      help: "Places for sessions in the engines that are up, taken and free.",
      labelNames: ["state"] as const,
      registers,
    }),
    engineMemory: new Gauge({
      name: "driftless_engine_memory_planned_bytes",
      help: "What the model (once) and a session (each) take by plan, and their limit (0: none).",
      labelNames: ["part"] as const,
      registers,
    }),
    engineDrops: new Counter({
      name: "driftless_engine_drops_total",
      help: "Packets, frames and chunks dropped in the engine, by reason.",
      labelNames: ["reason"] as const,
      registers,
    }),
    engineFrames: new Counter({
      name: "driftless_engine_frames_total",
      help: "Frames received from cameras (in) and generated (out).",
      labelNames: ["direction"] as const,
      registers,
    }),
    stageMs: new Histogram({
      name: "driftless_engine_stage_ms",
      help: "Mean time of recent frames in each stage of the engine, sampled with each report.",
      labelNames: ["stage"] as const,
      buckets: STAGE_BUCKETS_MS,
      registers,
    }),
    engineChunks: new Counter({
      name: "driftless_engine_chunks_total",
      help: "Chunks by what became of their delay budget: inTime, waited (begun late), slow (took longer than expected), replaced (never run).",
      labelNames: ["outcome"] as const,
      registers,
    }),
    driftCorrections: new Counter({
      name: "driftless_engine_drift_corrections_total",
      help: "What the drift guard did: latents and pictures count the chunks that it pulled back, renewals the anchors of a stream's memory that it replaced because that went on.",
      labelNames: ["what"] as const,
      registers,
    }),
    batchMs: new Histogram({
      name: "driftless_engine_batch_ms",
      help: "Mean time of a session's recent batches of the model, measured and as the scheduler expected, sampled with each report.",
      labelNames: ["kind"] as const,
      buckets: STAGE_BUCKETS_MS,
      registers,
    }),
    transformLevels: new Gauge({
      name: "driftless_transform_levels",
      help: "Transforms by what the engine gives them: full, fewerSteps, lowerRate, smallerPicture, fallback.",
      labelNames: ["level"] as const,
      registers,
    }),
    transformLevelChanges: new Counter({
      name: "driftless_transform_level_changes_total",
      help: "Changes of what the engine gives a transform, by new level, direction and cause.",
      labelNames: ["level", "direction", "cause"] as const,
      registers,
    }),
    transforms: new Gauge({
      name: "driftless_transforms",
      help: "Transforms, by state.",
      labelNames: ["state"] as const,
      registers,
    }),
    transformStateChanges: new Counter({
      name: "driftless_transform_state_changes_total",
      help: "Changes of a transform's state, by new state.",
      labelNames: ["state"] as const,
      registers,
    }),
    transformDelayMs: new Histogram({
      name: "driftless_transform_delay_ms",
      help: "Median time from capture to the generated frame leaving the engine, sampled with each report.",
      buckets: DELAY_BUCKETS_MS,
      registers,
    }),
  };
}
