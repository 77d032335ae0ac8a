/** What a track is, wherever it goes. */
import type { types as ms } from "mediasoup";

export type TrackRole = "original" | "generated";
export type Source = "camera" | "microphone";

/** What the server knows about each producer. */
export interface TrackData extends ms.AppData {
  participantId: string;
  track: TrackRole;
  /** True: no viewer may ever consume it; only the engine receives it. */
  hidden: boolean;
}
