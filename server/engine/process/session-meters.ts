/** What a session measures of itself, for its state and its progress reports. All times monotonic. */
import type { SessionProgress } from "../protocol.ts";
import { type DropCounters, RateMeter, ValueWindow } from "./meters.ts";
import type { EncodedFrame, NativeSessionStats } from "./native.ts";

/** The part of a progress report that comes from here. */
export type MeterReadings = Pick<
  SessionProgress,
  | "delayMs"
  | "fps"
  | "inputFps"
  | "bitrateBps"
  | "framesIn"
  | "framesOut"
  | "keyFramesOut"
  | "stageMs"
  | "batchMs"
  | "deadlines"
  | "driftCorrections"
>;

export class SessionMeters {
  /** Short, as the voice is held back by it: after a clock leapt it must tell the truth soon. */
  readonly #delays = new ValueWindow({ windowMs: 2000 });
  readonly #stages = {
    queued: new ValueWindow(),
    decode: new ValueWindow(),
    compute: new ValueWindow(),
    encode: new ValueWindow(),
  };
  readonly #inputRate = new RateMeter();
  readonly #outputRate = new RateMeter({ windowMs: 3000 });
  readonly #bits = new RateMeter({ windowMs: 3000 });
  #framesIn = 0;
  #framesOut = 0;
  #keyFramesOut = 0;
  #lastInputMs: number | null = null;
  #lastOutputMs: number | null = null;

  /** A frame of the camera became whole. */
  onInput(nowMs: number): void {
    this.#framesIn += 1;
    this.#lastInputMs = nowMs;
    this.#inputRate.add(1, nowMs);
  }

  /** A generated frame was sent. @param captureMonoMs when the camera took it */
  onOutput(frame: EncodedFrame, bytes: number, captureMonoMs: number, nowMs: number): void {
    this.#framesOut += 1;
    this.#keyFramesOut += frame.keyFrame ? 1 : 0;
    this.#lastOutputMs = nowMs;
    this.#outputRate.add(1, nowMs);
    this.#bits.add(bytes * 8, nowMs);
    this.#delays.add(nowMs - captureMonoMs, nowMs);
    this.#stages.queued.add(frame.timing.queuedMs, nowMs);
    this.#stages.decode.add(frame.timing.decodeMs, nowMs);
    this.#stages.compute.add(frame.timing.computeMs, nowMs);
    this.#stages.encode.add(frame.timing.encodeMs, nowMs);
  }

  get framesOut(): number {
    return this.#framesOut;
  }

  /** For the state machine; rates in frames a second. */
  flow(nowMs: number) {
    return {
      lastInputMs: this.#lastInputMs,
      lastOutputMs: this.#lastOutputMs,
      inputFps: this.#inputRate.perSecond(nowMs),
      outputFps: this.#outputRate.perSecond(nowMs),
      delayMs: this.#delays.percentiles(nowMs)?.p50 ?? null,
    };
  }

  readings(nowMs: number, native: NativeSessionStats | undefined): MeterReadings {
    const stages = this.#stages;
    return {
      delayMs: this.#delays.percentiles(nowMs),
      fps: this.#outputRate.perSecond(nowMs),
      inputFps: this.#inputRate.perSecond(nowMs),
      bitrateBps: this.#bits.perSecond(nowMs),
      framesIn: this.#framesIn,
      framesOut: this.#framesOut,
      keyFramesOut: this.#keyFramesOut,
      stageMs: {
        queued: stages.queued.mean(nowMs),
        decode: stages.decode.mean(nowMs),
        compute: stages.compute.mean(nowMs),
        encode: stages.encode.mean(nowMs),
      },
      batchMs: {
        measured: native?.timings.batch.meanMs ?? 0,
        expected: native?.timings.expected.meanMs ?? 0,
      },
      deadlines: native?.deadlines ?? { inTime: 0, waited: 0, slow: 0, replaced: 0 },
      driftCorrections: native?.driftCorrections ?? { latents: 0, pictures: 0, renewals: 0 },
    };
  }
}

/** Own counters and the native session's: one list of everything that was dropped. */
export function allDrops(
  own: DropCounters,
  native: NativeSessionStats | undefined,
): Record<string, number> {
  const drops = own.toRecord();
  if (native === undefined) {
    return drops;
  }
  // What the model does not take by design is no loss.
  const { aboveRate: _above, streamBatch: _batch, ...losses } = native.drops;
  for (const [reason, amount] of Object.entries(losses)) {
    drops[reason] = (drops[reason] ?? 0) + amount;
  }
  return drops;
}
