/**
 * Typed door to the native addon (native/src/addon): one engine with its model, and one session for
 * each transformed track. Frames go in encoded, with their capture times, and come out encoded, with
 * the capture times of the frames they were made from.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import type { SceneName } from "../../domain/settings.ts";

export interface NativeEngineOptions {
  /**
   * Folder with model.json and its weights. Empty: an engine without a model, whose sessions can
   * only pass frames through, as 256x144 or another shape of as many pixels, 16 frames a second.
   */
  modelDir: string;
  /**
   * Folder with the networks that find people, for background mode; empty: sessions refuse it.
   * Default: that of the npm package, where it is installed.
   */
  segmenterDir?: string;
  backend: string;
  /** Default auto: bf16 where the processor multiplies it natively, else f32. f16, fp8, fp8-kv: on a GPU alone. */
  dtype?: "auto" | "f32" | "bf16" | "f16" | "fp8" | "fp8-kv";
  /** Weights of an imported model's prompt encoder: read for each new prompt (default), or kept. */
  promptEncoder?: "release" | "keep";
  /**
   * nvenc: H.264 is encoded by the GPU where it has an encoder and a session left, else by the
   * processor, as with software, the default.
   */
  videoEncoder?: "software" | "nvenc";
  /** nvdec: cameras are decoded by the GPU where it has a decoder for the stream, else by the processor. */
  videoDecoder?: "software" | "nvdec";
  /** Threads of the model's arithmetic, 1 to 64. One core each; codecs want some of their own. */
  computeThreads: number;
  /** createSession throws beyond it. */
  maxSessions: number;
  /**
   * What the model and its sessions may take together, in MiB; createSession throws beyond it, and
   * so does the engine when not even one session fits. 0, the default: no limit.
   */
  memoryLimitMb?: number;
}

/** What viewers get. */
export type VideoCodec = "vp8" | "h264";
/** What cameras send. */
export type CameraCodec = VideoCodec | "vp9" | "av1";

export interface NativeTransform {
  /**
   * background keeps the person at the camera's size and rate and replaces what is behind;
   * passthrough decodes, scales as for the model and encodes, but leaves out the model.
   */
  mode: "restyle" | "background" | "passthrough";
  /**
   * restyle: no pixel of the room passes. The person is cut out first, and the model gets her before
   * what the next three say. Refused without the networks that find people. Background mode does it
   * by nature.
   */
  hideRoom?: boolean | undefined;
  /**
   * What is behind the person where she is cut out: the first of blur, color and scene that is
   * given. Of none: in background mode the scene that the prompt's words name, in a restyle one
   * plain colour.
   */
  scene?: SceneName | undefined;
  /** The real room, blurred until nothing in it can be read. */
  blur?: boolean | undefined;
  /** One colour, "#rrggbb". */
  color?: string | undefined;
  /**
   * restyle: what viewers get at level `fallback`: no new frames (default), or what the model was to
   * get, blurred until nothing in it can be read. Never the room of who hides it.
   */
  onOverload?: "hold" | "blur" | undefined;
  /** At most 500 characters. */
  prompt: string;
  /** 0 (the original) to 1 (the full effect). */
  strength: number;
  /** Denoising steps, 1 to 4. */
  steps: number;
  /** 0 to 2^32-1. */
  seed: number;
}

export interface NativeSessionOptions {
  id: string;
  inputCodec: CameraCodec;
  outputCodec: VideoCodec;
  bitrateBps: number;
  /**
   * Of a second encoding of each picture, at half its width and height, for viewers with little
   * bandwidth: EncodedFrame.low. 0, the default: none. A GPU's encoder has none.
   */
  lowLayerBitrateBps?: number;
  /** Frames a second that go to the model. 0, or above the model's own rate: the model's rate. */
  maxFps: number;
  /** Within which a complete chunk should be repainted, 1 to 60 000. Missed often: see `level`. */
  delayBudgetMs: number;
  transform: NativeTransform;
}

export interface EncodedPicture {
  /** A VP8 frame, or an H.264 access unit in Annex B form. */
  data: Buffer;
  keyFrame: boolean;
  width: number;
  height: number;
}

export interface EncodedFrame extends EncodedPicture {
  /** Of the camera frame that this one was made from: Unix epoch, milliseconds. */
  captureTimeMs: number;
  /** The same picture in the lower layer. */
  low?: EncodedPicture;
  /** Milliseconds; the sum is the frame's time inside the engine. queuedMs is all waiting. */
  timing: { queuedMs: number; decodeMs: number; computeMs: number; encodeMs: number };
}

/** What a session is given, best first; each one keeps what those before it have lost. */
export type ServiceLevel = "full" | "fewerSteps" | "lowerRate" | "smallerPicture" | "fallback";

/** The device cannot keep every promise, or can again: the session is given another level. */
export interface LevelChange {
  level: ServiceLevel;
  direction: "down" | "up";
  /**
   * All sessions are too much; this one alone is too slow for its budget; there is room again; other
   * steps were asked for.
   */
  cause: "overload" | "slowDevice" | "headroom" | "settings";
  /** Denoising steps at this level. */
  steps: number;
  /** Share of the frame rate at this level. */
  rate: number;
}

export type NativeEvent =
  /** The decoder cannot go on without a key frame. Repeated at most every 500 ms. */
  | { type: "needKeyFrame"; reason: string }
  /**
   * The frame with this capture time is the first that shows these settings (0: the first ones).
   * A new prompt comes in over some chunks: then `complete` is false, and a second event with true
   * names the first frame that shows nothing of the former prompt, unless newer settings come first.
   * After settings that hide the room no frame that shows it leaves the session any more, so the
   * first frame of theirs is one without it.
   */
  | { type: "applied"; revision: number; captureTimeMs: number; complete: boolean }
  /**
   * The camera's picture has this size from now on, is painted at that one (in background mode: the
   * scene is), and viewers get the third: whole, in the camera's shape, so upright where it is.
   */
  | {
      type: "inputSize";
      width: number;
      height: number;
      paintedWidth: number;
      paintedHeight: number;
      outputWidth: number;
      outputHeight: number;
    }
  | ({ type: "level" } & LevelChange)
  /** fatal: the session makes no more frames and should be closed. */
  | { type: "error"; message: string; fatal: boolean }
  /** The GPU cannot be used by this process any more; another process may find it well again. */
  | { type: "deviceLost"; message: string };

export interface StageTiming {
  lastMs: number;
  /** Moving mean over about the last 20. */
  meanMs: number;
}

export interface NativeSessionStats {
  framesIn: number;
  bytesIn: number;
  framesDecoded: number;
  /** Decoded frames that went towards the model. */
  framesSampled: number;
  /** Chunks given to the model. */
  chunks: number;
  framesOut: number;
  /** Of framesOut: blurred in place of the model, which was too busy (see onOverload). */
  framesBlurred: number;
  keyFramesOut: number;
  bytesOut: number;
  decodeErrors: number;
  computeErrors: number;
  encodeErrors: number;
  /** Times that a GPU would not encode (see videoEncoder), so the processor does: 0 or 1. */
  encoderRefusals: number;
  /** The same of decoding (see videoDecoder). */
  decoderRefusals: number;
  lastComputeMs: number;
  /**
   * Chunks: repainted within the delay budget; late because they were begun late, or took longer
   * than expected; never run, because a newer one took the place.
   */
  deadlines: { inTime: number; waited: number; slow: number; replaced: number };
  /**
   * What the drift guard did: chunks whose latents or pictures it pulled back, and anchors of the
   * stream's memory that it renewed because that went on.
   */
  driftCorrections: { latents: number; pictures: number; renewals: number };
  /** Input frames that did not come out, by reason (events for `events`). */
  drops: {
    inputFull: number;
    noKeyFrame: number;
    badSize: number;
    /** Not a loss: the camera is faster than the model. */
    aboveRate: number;
    chunkReplaced: number;
    /** Not taken: the session is at level `fallback`. */
    fallback: number;
    streamBatch: number;
    computeError: number;
    generatedFull: number;
    encodeError: number;
    callbackFull: number;
    awaitKeyFrame: number;
    events: number;
  };
  queueDepths: {
    input: number;
    compute: number;
    generated: number;
    callbacks: number;
    events: number;
  };
  timings: {
    decode: StageTiming;
    queued: StageTiming;
    compute: StageTiming;
    /** The model's batches with this session, measured and as the scheduler expected. */
    batch: StageTiming;
    expected: StageTiming;
    encode: StageTiming;
    total: StageTiming;
  };
}

export interface NativeSession {
  /** Copies the frame. After close() it does nothing. */
  pushFrame(data: Uint8Array, captureTimeMs: number): void;
  /**
   * Takes effect with the next chunk. Where the room is hidden, frames on their way that show it are
   * dropped before this returns. @returns the revision that `applied` will name, from 1
   */
  setTransform(transform: NativeTransform): number;
  setBitrate(bps: number): void;
  /** The next frame out becomes a key frame. */
  requestKeyFrame(): void;
  /** The same in the lower layer alone. */
  requestLowKeyFrame(): void;
  /** After close(): the last numbers. */
  stats(): NativeSessionStats;
  /** Resolves when the session's threads have ended; no callback comes afterwards. */
  close(): Promise<void>;
}

export interface NativeEngineInfo {
  model: string;
  /** The model's own size, and all that it paints at; a camera gets the one of the nearest shape. */
  width: number;
  height: number;
  sizes: { width: number; height: number }[];
  fps: number;
  framesPerChunk: number;
  backend: string;
  /** Whether sessions may use background mode. */
  background: boolean;
  /** FFmpeg's name of what encodes H.264, and why it is not the GPU that was asked to. */
  h264Encoder: string;
  /** nvdec or software, and why it is not the GPU that was asked to. */
  videoDecoder: string;
  /** What it takes by plan: the model once, and each session with its prompt and a next one. */
  memory: { limitBytes: number; modelBytes: number; sessionBytes: number };
}

export interface NativeEngine {
  info(): NativeEngineInfo;
  /** @throws TypeError or RangeError for bad options, Error when there is no room */
  createSession(
    options: NativeSessionOptions,
    onFrame: (frame: EncodedFrame) => void,
    onEvent: (event: NativeEvent) => void,
  ): NativeSession;
  /** Closes the sessions that are open, then the engine. */
  close(): Promise<void>;
}

interface Addon {
  createEngine(options: NativeEngineOptions): NativeEngine;
}

const repository = path.resolve(import.meta.dirname, "../../..");

/** Where the addon may be, first choice first. */
function addonPaths(): string[] {
  const override = process.env.DRIFTLESS_ADDON;
  if (override) return [path.resolve(override)];
  return ["build/native/driftless.node", "build/native/Release/driftless.node"].map((file) =>
    path.join(repository, file),
  );
}

function loadAddon(): Addon {
  const require = createRequire(import.meta.url);
  const tried: string[] = [];
  for (const file of addonPaths()) {
    if (!existsSync(file)) {
      tried.push(`${file}: not there`);
      continue;
    }
    try {
      return require(file) as Addon;
    } catch (error) {
      tried.push(`${file}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(
    [
      `The native engine could not be loaded on Node ${process.version} (${process.platform}-${process.arch}).`,
      ...tried.map((line) => `  tried ${line}`),
      "Missing: the addon built for this machine, or a library it needs (FFmpeg).",
      "Run: npm run setup",
    ].join("\n"),
  );
}

/** The folder of the networks that find people in a picture, or "" where it is not installed. */
function findSegmenters(): string {
  try {
    const require = createRequire(import.meta.url);
    return path.dirname(require.resolve("@mediapipe/selfie_segmentation/package.json"));
  } catch {
    return "";
  }
}

function checkModel(modelDir: string): void {
  if (modelDir === "" || existsSync(path.join(modelDir, "model.json"))) return;
  throw new Error(
    [
      `The model could not be loaded: expected ${path.join(modelDir, "model.json")}, but there is no such file.`,
      "Set engine.modelDir to a folder with a model; the default one is models/drift-nano in the repository.",
      "If files of the checkout are missing, run: git checkout -- models && npm run setup",
    ].join("\n"),
  );
}

/** The addon's engine, which also closes what it opened. */
class OpenedEngine implements NativeEngine {
  readonly #engine: NativeEngine;
  readonly #sessions = new Set<NativeSession>();

  constructor(engine: NativeEngine) {
    this.#engine = engine;
  }

  info(): NativeEngineInfo {
    return this.#engine.info();
  }

  createSession(
    options: NativeSessionOptions,
    onFrame: (frame: EncodedFrame) => void,
    onEvent: (event: NativeEvent) => void,
  ): NativeSession {
    const session = this.#engine.createSession(options, onFrame, onEvent);
    this.#sessions.add(session);
    const closeNative = session.close.bind(session);
    session.close = async () => {
      await closeNative();
      this.#sessions.delete(session);
    };
    return session;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sessions].map((session) => session.close()));
    await this.#engine.close();
  }
}

/**
 * Loads the addon and the model.
 *
 * @throws Error with one message that says what was tried, what is missing and the command that
 *   brings it
 */
export function loadNativeEngine(options: NativeEngineOptions): NativeEngine {
  const addon = loadAddon();
  checkModel(options.modelDir);
  const segmenterDir = options.segmenterDir ?? findSegmenters();
  return new OpenedEngine(addon.createEngine({ ...options, segmenterDir }));
}
