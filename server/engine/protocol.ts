/**
 * Messages between the server and an engine (JSON, over an EngineLink). Both sides parse what they
 * receive: a message that does not fit is an error of the build, not of a user, and is logged and
 * dropped. Media never travels here.
 */
import { z } from "zod";
import { colorSchema, SCENES } from "../domain/settings.ts";

const uint16 = z.int().min(0).max(0xffff);
const uint32 = z.int().min(0).max(0xffffffff);
const port = z.int().min(1).max(0xffff);
const payloadType = z.int().min(0).max(127);
const sessionId = z.string().min(1).max(128);
const count = z.number().min(0);

/** What viewers get. */
export const videoCodecSchema = z.enum(["vp8", "h264"]);
/** What the engine decodes. */
export const cameraCodecSchema = z.enum(["vp8", "h264", "vp9", "av1"]);

/** What the engine does to the frames. `passthrough` only decodes and encodes (media tests). */
export const engineTransformSchema = z.strictObject({
  mode: z.enum(["restyle", "background", "passthrough"]),
  /** Of restyle, by the participant's privacy: the person is cut out before anything else. */
  hideRoom: z.boolean().optional(),
  /** What is behind a person who is cut out; see NativeTransform. */
  scene: z.enum(SCENES).optional(),
  blur: z.boolean().optional(),
  color: colorSchema.optional(),
  /** Of restyle: what viewers get at level fallback; absent: hold. */
  onOverload: z.enum(["hold", "blur"]).optional(),
  prompt: z.string(),
  strength: z.number(),
  steps: z.int(),
  seed: uint32,
});

/** First message to a new engine process: everything it needs to load. */
export const engineOptionsSchema = z.strictObject({
  /** Empty: no model, sessions can only pass frames through. */
  modelDir: z.string(),
  backend: z.string(),
  dtype: z.enum(["auto", "f32", "bf16", "f16", "fp8", "fp8-kv"]).optional(),
  promptEncoder: z.enum(["release", "keep"]).optional(),
  videoEncoder: z.enum(["software", "nvenc"]).optional(),
  videoDecoder: z.enum(["software", "nvdec"]).optional(),
  /** Threads that compute; 0 lets the engine choose. */
  computeThreads: z.int().min(0).max(256),
  maxSessions: z.int().min(1).max(1024),
  /** Of the model and its sessions, in MiB; 0 or nothing: no limit. */
  memoryLimitMb: z.int().min(0).optional(),
});

export const openSessionSchema = z.strictObject({
  type: z.literal("openSession"),
  sessionId,
  /** The SFU's socket: the only one that packets are taken from and sent to. */
  transport: z.strictObject({ ip: z.string(), port }),
  localIp: z.string(),
  /** 0 lets the system choose; after a restart the port of before. */
  localPort: z.int().min(0).max(0xffff),
  input: z.strictObject({
    ssrc: uint32,
    payloadType,
    codec: cameraCodecSchema,
    /** Id of the abs-capture-time header extension on incoming packets, null if not negotiated. */
    absCaptureTimeId: z.int().min(1).max(14).nullable(),
  }),
  output: z.strictObject({
    ssrc: uint32,
    payloadType,
    codec: videoCodecSchema,
    cname: z.string(),
    /** Sequence number of the first packet. */
    sequenceStart: uint16,
    /** VP8 picture id of the first frame (15 bits). */
    pictureIdStart: z.int().min(0).max(0x7fff),
    /**
     * RTP timestamp = time on the session's timeline in 1/90 ms + this, modulo 2^32. Constant for a
     * track's life.
     */
    timestampOffset: uint32,
    /**
     * Time on the timeline now, for a track that another process began: what it reported last, and
     * the time that passed since. Without it the timeline starts at this machine's wall clock.
     */
    timelineMs: z.number().optional(),
    absCaptureTimeId: z.int().min(1).max(14).nullable(),
    /** A lower layer of the same track, for viewers with little bandwidth; null: none. */
    low: z
      .strictObject({
        ssrc: uint32,
        bitrateBps: z.int().min(30_000).max(50_000_000),
        sequenceStart: uint16,
        pictureIdStart: z.int().min(0).max(0x7fff),
      })
      .nullable(),
  }),
  bitrateBps: z.int().min(30_000).max(50_000_000),
  maxFps: z.number().min(1).max(120),
  delayBudgetMs: z.number().min(1).max(60_000),
  /** Revision of the settings given here, reported back when they are first visible. */
  revision: z.int().min(0),
  transform: engineTransformSchema,
});

export const serverMessageSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("start"), options: engineOptionsSchema }),
  openSessionSchema,
  z.strictObject({
    type: z.literal("setTransform"),
    sessionId,
    revision: z.int().min(0),
    transform: engineTransformSchema,
  }),
  z.strictObject({ type: z.literal("closeSession"), sessionId }),
  z.strictObject({ type: z.literal("shutdown") }),
]);

export const sessionStateSchema = z.enum(["starting", "live", "degraded", "fallback", "stopped"]);

/** Who is to blame for a state: it decides what viewers are shown meanwhile. */
export const stateCauseSchema = z.enum(["none", "camera", "engine"]);

/** What a session is given when the device cannot keep every promise, best first. */
export const serviceLevelSchema = z.enum([
  "full",
  "fewerSteps",
  "lowerRate",
  "smallerPicture",
  "fallback",
]);

export const levelChangeSchema = z.strictObject({
  type: z.literal("level"),
  sessionId,
  level: serviceLevelSchema,
  direction: z.enum(["down", "up"]),
  cause: z.enum(["overload", "slowDevice", "headroom", "settings"]),
  /** Denoising steps and share of the frame rate at this level. */
  steps: z.int(),
  rate: z.number(),
});

export const engineInfoSchema = z.object({
  model: z.string(),
  width: z.number(),
  height: z.number(),
  /** All sizes that it paints at, width x height among them. */
  sizes: z.array(z.object({ width: z.number(), height: z.number() })),
  fps: z.number(),
  framesPerChunk: z.number(),
  backend: z.string(),
  background: z.boolean(),
  h264Encoder: z.string(),
  videoDecoder: z.string(),
  /** What it takes by plan: the model once, and each session with its prompt and a next one. */
  memory: z.object({ limitBytes: z.number(), modelBytes: z.number(), sessionBytes: z.number() }),
});

/** Where a session stands; from it a new process carries on where a dead one stopped. */
export const sessionProgressSchema = z.strictObject({
  type: z.literal("progress"),
  sessionId,
  nextSequence: uint16,
  nextPictureId: z.int().min(0).max(0x7fff),
  /** The same of the lower layer, where there is one. */
  low: z
    .strictObject({ nextSequence: uint16, nextPictureId: z.int().min(0).max(0x7fff) })
    .nullable(),
  /** Time on the session's timeline when this was sent: where another process goes on. */
  timelineMs: z.number().optional(),
  /** How long a missing packet of the camera is waited for at the moment. */
  jitterWaitMs: count.optional(),
  /** How often a clock leapt: the camera's RTP clock, or the SFU's wall clock. */
  clockSteps: count.optional(),
  /** Capture to sent, over the last seconds; null while no frame was sent in them. */
  delayMs: z.strictObject({ p50: z.number(), p95: z.number() }).nullable(),
  fps: count,
  inputFps: count,
  bitrateBps: count,
  framesIn: count,
  framesOut: count,
  keyFramesOut: count,
  /** Mean milliseconds that recent frames spent in each stage. */
  stageMs: z.strictObject({ queued: count, decode: count, compute: count, encode: count }),
  /** Mean duration of recent batches of the model, and what was expected of them. */
  batchMs: z.strictObject({ measured: count, expected: count }),
  /** Chunks by what became of their delay budget. */
  deadlines: z.strictObject({ inTime: count, waited: count, slow: count, replaced: count }),
  /** What the drift guard did: chunks pulled back, by what of them, and renewed anchors. */
  driftCorrections: z.strictObject({ latents: count, pictures: count, renewals: count }),
  /** Dropped packets and frames by reason. */
  drops: z.record(z.string(), count),
});

/**
 * Why a session was not opened, or broke: `full` all places are taken, `memory` the plan has no room,
 * `port` the address or port cannot be used, `refused` the options, `broken` an error at work.
 */
export const sessionErrorCodeSchema = z.enum(["full", "memory", "port", "refused", "broken"]);

export const engineMessageSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("ready"), info: engineInfoSchema }),
  /** The engine cannot start; the process exits after it. */
  z.strictObject({ type: z.literal("failed"), message: z.string() }),
  z.strictObject({ type: z.literal("heartbeat") }),
  z.strictObject({
    type: z.literal("log"),
    level: z.enum(["debug", "info", "warn", "error"]),
    message: z.string(),
    fields: z.record(z.string(), z.unknown()),
  }),
  z.strictObject({ type: z.literal("sessionOpened"), sessionId, localPort: port }),
  /** The answer to a setTransform: visible later, which "applied" tells. */
  z.strictObject({ type: z.literal("transformAccepted"), sessionId, revision: z.int() }),
  /** Or: the settings of before stay. */
  z.strictObject({
    type: z.literal("transformRefused"),
    sessionId,
    revision: z.int(),
    message: z.string(),
  }),
  z.strictObject({
    type: z.literal("sessionState"),
    sessionId,
    state: sessionStateSchema,
    cause: stateCauseSchema,
    /** For people; empty when live. */
    reason: z.string(),
  }),
  z.strictObject({ type: z.literal("firstFrame"), sessionId, captureTimeMs: z.number() }),
  z.strictObject({
    type: z.literal("applied"),
    sessionId,
    revision: z.int(),
    captureTimeMs: z.number(),
    /** False: the first frame that shows any of the settings; a message with true follows. */
    complete: z.boolean(),
  }),
  levelChangeSchema,
  sessionProgressSchema,
  /** The session could not be opened, or broke; it is closed after a fatal one. */
  z.strictObject({
    type: z.literal("sessionError"),
    sessionId,
    code: sessionErrorCodeSchema,
    message: z.string(),
    fatal: z.boolean(),
  }),
]);

export type EngineTransform = z.infer<typeof engineTransformSchema>;
export type EngineOptions = z.infer<typeof engineOptionsSchema>;
export type EngineInfo = z.infer<typeof engineInfoSchema>;
export type OpenSession = z.infer<typeof openSessionSchema>;
export type SessionErrorCode = z.infer<typeof sessionErrorCodeSchema>;
export type SessionState = z.infer<typeof sessionStateSchema>;
export type StateCause = z.infer<typeof stateCauseSchema>;
export type ServiceLevel = z.infer<typeof serviceLevelSchema>;
export type LevelChange = z.infer<typeof levelChangeSchema>;
export type SessionProgress = z.infer<typeof sessionProgressSchema>;
export type ServerMessage = z.infer<typeof serverMessageSchema>;
export type EngineMessage = z.infer<typeof engineMessageSchema>;
