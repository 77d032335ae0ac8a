/** What rooms know of a participant's transform, and what the outside is told. */
import type { ActiveSettings } from "./settings.ts";

/** What the engine gives a session, best first; each one keeps what those before it have lost. */
export type ServiceLevel = "full" | "fewerSteps" | "lowerRate" | "smallerPicture" | "fallback";

/**
 * `queued` waits for a place in an engine · `starting` no generated frame yet · `live` holds its
 * promise · `degraded` slower than promised · `fallback` no new generated frames for now ·
 * `stopped` over.
 */
export type TransformState = "queued" | "starting" | "live" | "degraded" | "fallback" | "stopped";

/** What viewers see of a participant: with `generated` in fallback, the last generated frame. */
export type ShownVideo = "original" | "generated" | "none";

/** Where one who waits for a place stands. */
export interface QueuePlace {
  /** 1 is next. */
  position: number;
  /** From how long places were held lately; null while nobody knows. */
  estimatedWaitSeconds: number | null;
}

/** Numbers of a transform that change all the time. */
export interface TransformFigures {
  participantId: string;
  /** Median time from capture to the generated frame leaving the engine; null before the first. */
  delayMs: number | null;
  delayP95Ms: number | null;
  /** Generated frames a second. */
  fps: number;
  bitrateBps: number;
}

/** Where a transform stands, as the reconciler reports it. */
export interface TransformStatus {
  state: TransformState;
  /** Why the state is what it is, one sentence for people; empty when there is nothing to say. */
  reason: string;
  level: ServiceLevel;
  /** Those in force, or waiting for a place. */
  settings: ActiveSettings;
  queue: QueuePlace | null;
  delayMs: number | null;
  delayP95Ms: number | null;
  fps: number;
  bitrateBps: number;
}

/** A change of settings has become visible. */
export interface TransformApplied {
  revision: number;
  /** Unix ms of the first frame that shows it. */
  captureTimeMs: number;
  /** False while a new prompt is still coming in; a second event with true follows. */
  complete: boolean;
}
