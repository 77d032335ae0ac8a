/**
 * The words between the transform manager and those who use it (rooms, signalling, REST).
 */

import type { ActiveSettings } from "../domain/settings.ts";
import type { LevelChange, ServiceLevel } from "../engine/protocol.ts";
import type { TransformTap } from "../media/transform-tap.ts";

export type { ServiceLevel };

/**
 * `starting` no generated frame yet · `live` holds its promise · `degraded` slower than promised ·
 * `fallback` no new generated frames for now · `stopped` over.
 */
export type TransformState = "starting" | "live" | "degraded" | "fallback" | "stopped";

/** What viewers should see: with `generated` in fallback they keep the last generated frame. */
export type ShownVideo = "original" | "generated" | "none";

/** What the manager chooses for a tap; the room adds what it knows of the producer. */
export interface CreateTapRequest {
  /** The producer to be repainted. */
  videoProducerId: string;
  /** Address of the engine's sockets. */
  engineIp: string;
  /** SSRC of the generated track. */
  outputSsrc: number;
}

/** One participant's camera, as far as the transform needs to know it. */
export interface TransformTarget {
  /** Participant id. */
  id: string;
  roomId: string;
  /** The original video producer; another id than last time means that the camera was replaced. */
  videoProducerId: string;
  /** False with hideOriginal and in background mode: whatever happens, viewers never get the original picture. */
  allowOriginalFallback: boolean;
  /**
   * Makes the way to the engine and back: a plain transport, a consumer of the original and a
   * producer of the generated track. The generated codec is the original's.
   */
  createTap(request: CreateTapRequest): Promise<TransformTap>;
}

export interface TransformStatus {
  targetId: string;
  roomId: string;
  state: TransformState;
  /** Why the state is what it is, for people; empty when live. */
  reason: string;
  /** What the engine gives the session: `full`, or what was lost last. */
  level: ServiceLevel;
  settings: ActiveSettings;
  /** Grows with each change of the settings. */
  revision: number;
  /** The newest revision that is visible in generated frames, 0 before the first. */
  appliedRevision: number;
  /** Producer of the generated track, once it exists. */
  producerId: string | null;
  video: ShownVideo;
  /** Median capture-to-sent delay of generated frames; null before the first. */
  delayMs: number | null;
  delayP95Ms: number | null;
  /** Generated frames a second. */
  fps: number;
  bitrateBps: number;
}

/** Emitted by TransformManager; each event names its participant. */
export interface TransformEvents {
  /** The state or its reason changed. */
  state: [status: TransformStatus];
  /** The generated track carries frames: viewers should switch to it. */
  active: [event: { targetId: string; roomId: string; producerId: string }];
  /**
   * The generated track is no longer worth watching. `ended`: the transform is over and its
   * producer closed. Otherwise it may come back (`active` again); only emitted then when the
   * participant allows the original as fallback.
   */
  inactive: [event: { targetId: string; roomId: string; reason: string; ended: boolean }];
  /**
   * A change of settings is visible from the frame captured at captureTimeMs on (Unix ms). With
   * `complete` false a new prompt is still coming in; a second event with true tells when it is
   * there, unless the settings change again before.
   */
  applied: [
    event: {
      targetId: string;
      roomId: string;
      revision: number;
      captureTimeMs: number;
      complete: boolean;
    },
  ];
  /** The engine gives the session less, or more again; `state` follows with the reason. */
  level: [
    event: { targetId: string; roomId: string } & Pick<
      LevelChange,
      "level" | "direction" | "cause"
    >,
  ];
  /** About once a second while frames flow. */
  stats: [status: TransformStatus];
}
