/** Who gets which tracks: pure decisions, no media. */
import type { types as ms } from "mediasoup";
import type { TrackData, TrackRole } from "../media/track-data.ts";
import type { ShownVideo } from "../transform/types.ts";

type TrackProducer = ms.Producer<TrackData>;

/** What a participant publishes, as far as viewers are concerned. */
export interface Publication {
  participantId: string;
  microphone: TrackProducer | undefined;
  camera: TrackProducer | undefined;
  generated: TrackProducer | undefined;
  /** The generated track carries frames worth watching. */
  generatedActive: boolean;
  hideOriginal: boolean;
}

export interface PlannedTrack {
  producer: TrackProducer;
  participantId: string;
  track: TrackRole;
  /** False: set up, but not flowing, so that a switch needs no negotiation. */
  flowing: boolean;
}

/** What viewers of a participant see now. */
export function shownVideo(publication: Publication): ShownVideo {
  if (publication.generated !== undefined && publication.generatedActive) return "generated";
  if (publication.camera !== undefined && !publication.hideOriginal) return "original";
  return "none";
}

/**
 * The tracks of one participant that one viewer has. A hidden original is in
 * nobody's plan; the publisher itself gets its generated track only.
 */
export function planTracks(publication: Publication, viewerId: string): PlannedTrack[] {
  const { participantId, microphone, camera, generated, hideOriginal } = publication;
  const shown = shownVideo(publication);
  const tracks: PlannedTrack[] = [];
  const add = (producer: TrackProducer, track: TrackRole, flowing: boolean) =>
    tracks.push({ producer, participantId, track, flowing });

  const own = participantId === viewerId;
  if (microphone !== undefined && !own) add(microphone, "original", true);
  if (camera !== undefined && !own && !hideOriginal) add(camera, "original", shown === "original");
  if (generated !== undefined) add(generated, "generated", shown === "generated");
  return tracks;
}
