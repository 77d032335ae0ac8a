/** What the outside sees of a room: shared by all edges. */
import type { ActiveSettings } from "./settings.ts";
import type { QueuePlace, ServiceLevel, ShownVideo, TransformState } from "./transform-state.ts";

export interface TransformSummary {
  state: TransformState | "off";
  /** Why the state is what it is, one sentence; empty when there is nothing to say. */
  reason: string;
  settings: ActiveSettings | null;
  /** Median time from capture to the generated frame leaving the engine. */
  delayMs: number | null;
}

export interface ParticipantTransform extends TransformSummary {
  participantId: string;
  /** Of the settings asked for last; 0 before the first. */
  revision: number;
  /** What the engine gives the transform: `full`, or what was lost last. */
  level: ServiceLevel;
  /** Where it stands in the line of those who wait for a place; null when it does not wait. */
  queue: QueuePlace | null;
  /** What viewers of the participant are shown at the moment. */
  video: ShownVideo;
  /** Generated frames a second. */
  fps: number;
  bitrateBps: number;
}

export interface ParticipantInfo {
  participantId: string;
  identity: string;
  name: string;
  joinedAtMs: number;
  /** A microphone is published and not muted. */
  audio: boolean;
  video: ShownVideo;
  /** null: no transform asked for. */
  transform: TransformSummary | null;
  /** "Hide my room" is on. */
  hideOriginal: boolean;
}

export interface RoomInfo {
  roomId: string;
  createdAtMs: number;
  participants: number;
}
