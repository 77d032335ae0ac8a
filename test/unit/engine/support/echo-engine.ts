/**
 * An engine without codecs or model: what comes in goes out after a moment. It lets the RTP, session
 * and process code be tested by itself; the real addon is tested in test/media.
 */
import type {
  EncodedFrame,
  NativeEngine,
  NativeEvent,
  NativeSession,
  NativeSessionOptions,
  NativeTransform,
} from "../../../../server/engine/process/native.ts";

const ECHO_MS = 5;
/** Last byte of a frame that kills the engine. */
export const POISON = 0xbd;
const NO_TIME = { lastMs: 0, meanMs: 0 };

export interface EchoSession extends NativeSession {
  readonly options: NativeSessionOptions;
  /** Captured by tests. */
  readonly keyFrameRequests: number;
  readonly lowKeyFrameRequests: number;
  readonly bitrates: number[];
  readonly closed: boolean;
  emit(event: NativeEvent): void;
}

export function createEchoEngine(): NativeEngine & { sessions: EchoSession[] } {
  const sessions: EchoSession[] = [];
  return {
    sessions,
    info: () => ({
      model: "echo",
      width: 256,
      height: 144,
      sizes: [{ width: 256, height: 144 }],
      fps: 16,
      framesPerChunk: 4,
      backend: "reference",
      background: true,
      h264Encoder: "libx264",
      videoDecoder: "software",
      memory: { limitBytes: 0, modelBytes: 1000, sessionBytes: 100 },
    }),
    createSession(options, onFrame, onEvent) {
      if (options.transform.prompt === "refuse") {
        throw new Error("expected another prompt than refuse");
      }
      if (options.transform.prompt === "crash at once") {
        process.kill(process.pid, "SIGSEGV");
      }
      const session = createEchoSession(options, onFrame, onEvent);
      sessions.push(session);
      return session;
    },
    close: async () => undefined,
  };
}

function createEchoSession(
  options: NativeSessionOptions,
  onFrame: (frame: EncodedFrame) => void,
  onEvent: (event: NativeEvent) => void,
): EchoSession {
  let revision = -1;
  let pendingRevision = 0;
  let keyFrameRequests = 0;
  let lowKeyFrameRequests = 0;
  let closed = false;
  let framesIn = 0;
  const bitrates: number[] = [];
  return {
    options,
    bitrates,
    get keyFrameRequests() {
      return keyFrameRequests;
    },
    get closed() {
      return closed;
    },
    emit: onEvent,
    pushFrame(data, captureTimeMs) {
      framesIn += 1;
      setTimeout(() => {
        if (data.at(-1) === POISON) {
          // As a decoder's thread would, when the call has long returned.
          process.kill(process.pid, "SIGSEGV");
        }
        if (closed) {
          return;
        }
        const keyFrame = ((data[0] ?? 1) & 1) === 0;
        const picture = { data: Buffer.from(data), keyFrame, width: 256, height: 144 };
        onFrame({
          ...picture,
          ...((options.lowLayerBitrateBps ?? 0) > 0 && { low: picture }),
          captureTimeMs,
          timing: { queuedMs: 1, decodeMs: 1, computeMs: ECHO_MS, encodeMs: 1 },
        });
        if (pendingRevision !== revision) {
          revision = pendingRevision;
          onEvent({ type: "applied", revision, captureTimeMs, complete: false });
          onEvent({ type: "applied", revision, captureTimeMs, complete: true });
        }
      }, ECHO_MS);
    },
    setTransform(transform: NativeTransform) {
      if (transform.prompt === "refuse") {
        throw new Error("expected another prompt than refuse");
      }
      if (transform.prompt === "crash") {
        process.kill(process.pid, "SIGSEGV");
      }
      if (transform.prompt === "lose the GPU") {
        onEvent({ type: "deviceLost", message: "an illegal memory access was encountered" });
      }
      if (transform.prompt === "busy" || transform.prompt === "room again") {
        const { steps } = transform;
        onEvent(
          transform.prompt === "busy"
            ? {
                type: "level",
                level: "lowerRate",
                direction: "down",
                cause: "overload",
                steps,
                rate: 0.75,
              }
            : { type: "level", level: "full", direction: "up", cause: "headroom", steps, rate: 1 },
        );
      }
      pendingRevision += 1;
      return pendingRevision;
    },
    setBitrate: (bps) => {
      bitrates.push(bps);
    },
    requestKeyFrame: () => {
      keyFrameRequests += 1;
    },
    requestLowKeyFrame: () => {
      lowKeyFrameRequests += 1;
    },
    get lowKeyFrameRequests() {
      return lowKeyFrameRequests;
    },
    stats: () => ({
      framesIn,
      bytesIn: 0,
      framesDecoded: framesIn,
      framesSampled: framesIn,
      chunks: 0,
      framesOut: framesIn,
      framesBlurred: 0,
      keyFramesOut: 0,
      bytesOut: 0,
      decodeErrors: 0,
      computeErrors: 0,
      encodeErrors: 0,
      encoderRefusals: 0,
      decoderRefusals: 0,
      lastComputeMs: ECHO_MS,
      deadlines: { inTime: framesIn, waited: 0, slow: 1, replaced: 0 },
      driftCorrections: { latents: 3, pictures: 2, renewals: 1 },
      drops: {
        inputFull: 2,
        noKeyFrame: 0,
        badSize: 0,
        aboveRate: 9,
        chunkReplaced: 0,
        fallback: 0,
        streamBatch: 0,
        computeError: 0,
        generatedFull: 0,
        encodeError: 0,
        callbackFull: 0,
        awaitKeyFrame: 0,
        events: 0,
      },
      queueDepths: { input: 0, compute: 0, generated: 0, callbacks: 0, events: 0 },
      timings: {
        decode: NO_TIME,
        queued: NO_TIME,
        compute: NO_TIME,
        batch: { lastMs: ECHO_MS, meanMs: ECHO_MS },
        expected: { lastMs: ECHO_MS, meanMs: ECHO_MS },
        encode: NO_TIME,
        total: NO_TIME,
      },
    }),
    close: async () => {
      closed = true;
    },
  };
}
