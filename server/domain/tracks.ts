/** What a track is, as plain data: it can be planned, compared and sent to another process. */

/** Where a track comes from. */
export type Source = "camera" | "microphone";
/** As the participant sent it, or as the engine repainted it. */
export type TrackVariant = "original" | "generated";
export type MediaKind = "audio" | "video";

export interface TrackRef {
  /** Of the media producer; the same in every router that the track is piped to. */
  readonly id: string;
  /** Participant id. */
  readonly owner: string;
  readonly source: Source;
  readonly variant: TrackVariant;
  readonly kind: MediaKind;
  /** Spatial layers (simulcast or SVC) that viewers can choose from; 1 where there is no choice. */
  readonly layers: number;
  /** The router that receives it. */
  readonly routerId: string;
}
