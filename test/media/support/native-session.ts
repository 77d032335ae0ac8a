/** What the tests of the native addon share: opening a session, feeding it, waiting for it. */

import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type {
  EncodedFrame,
  NativeEngine,
  NativeEngineOptions,
  NativeEvent,
  NativeSession,
  NativeSessionOptions,
  NativeTransform,
} from "../../../server/engine/process/native.ts";

/** The default model's size, and that of an engine without a model. */
export const WIDTH = 256;
export const HEIGHT = 144;

export const passthrough: NativeTransform = {
  mode: "passthrough",
  prompt: "",
  strength: 1,
  steps: 1,
  seed: 0,
};

/** Options for an engine with the default model on one thread. */
export const defaultModel: NativeEngineOptions = {
  modelDir: path.resolve(import.meta.dirname, "../../../models/drift-nano"),
  backend: "cpu",
  computeThreads: 1,
  maxSessions: 2,
};

/** Options for a VP8 session that passes frames through, with these changes. */
export function options(changes: Partial<NativeSessionOptions> = {}): NativeSessionOptions {
  return {
    id: "test",
    inputCodec: "vp8",
    outputCodec: "vp8",
    bitrateBps: 800_000,
    maxFps: 0,
    delayBudgetMs: 250,
    transform: passthrough,
    ...changes,
  };
}

export interface Opened {
  session: NativeSession;
  frames: EncodedFrame[];
  events: NativeEvent[];
}

/** A session that collects what it sends. */
export function open(engine: NativeEngine, changes: Partial<NativeSessionOptions> = {}): Opened {
  const frames: EncodedFrame[] = [];
  const events: NativeEvent[] = [];
  const session = engine.createSession(
    options(changes),
    (frame) => frames.push(frame),
    (event) => events.push(event),
  );
  return { session, frames, events };
}

/** Gives the frames to the session as a camera would, in real time. @returns their capture times */
export async function play(
  session: NativeSession,
  clip: Buffer[],
  startMs: number,
  intervalMs: number,
): Promise<number[]> {
  const begin = performance.now();
  const times: number[] = [];
  for (const [index, frame] of clip.entries()) {
    const due = begin + index * intervalMs;
    if (due > performance.now()) await sleep(due - performance.now());
    const captureTimeMs = startMs + index * intervalMs;
    times.push(captureTimeMs);
    session.pushFrame(frame, captureTimeMs);
  }
  return times;
}
