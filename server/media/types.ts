/** What edges see of media. */
import type { types as ms } from "mediasoup";
import type { TrackVariant } from "../domain/tracks.ts";

export type TransportDirection = "send" | "recv";

/** A track that a viewer is to set up. */
export interface NewConsumer {
  consumerId: string;
  producerId: string;
  participantId: string;
  kind: ms.MediaKind;
  track: TrackVariant;
  rtpParameters: ms.RtpParameters;
  /** Equal for all tracks of a participant: the browser syncs lips by it. */
  streamId: string;
  /** True: set it up, but it does not flow yet (consumer:resumed will say when). */
  paused: boolean;
}
