/** What the outside sees of a room: shared by signalling and REST. */
import type { types as ms } from "mediasoup";
import type { TrackRole } from "../media/track-data.ts";
import type { ServiceLevel, ShownVideo, TransformState } from "../transform/types.ts";
import type { ActiveSettings } from "./settings.ts";

export type { ActiveSettings, ShownVideo, TrackRole, TransformState };

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
  /** What the engine gives the transform: `full`, or what was lost last. */
  level: ServiceLevel;
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
  hideOriginal: boolean;
}

export interface RoomInfo {
  roomId: string;
  createdAtMs: number;
  participants: number;
}

/** A track that a viewer is to set up. */
export interface NewConsumer {
  consumerId: string;
  producerId: string;
  participantId: string;
  kind: ms.MediaKind;
  track: TrackRole;
  rtpParameters: ms.RtpParameters;
  /** Equal for all tracks of a participant: the browser syncs lips by it. */
  streamId: string;
  /** True: set it up, but it does not flow yet (consumer:resumed will say when). */
  paused: boolean;
}
