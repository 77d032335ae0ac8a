/** Who gets which tracks: pure decisions over plain data. */
import { type Fallback, pictureAfterGrace } from "./fallback.ts";
import { type PrivacyPolicy, permits } from "./privacy.ts";
import type { TrackRef } from "./tracks.ts";
import type { ShownVideo } from "./transform-state.ts";

/** What a participant publishes, as far as viewers are concerned. */
export interface Publication {
  participantId: string;
  microphone: TrackRef | undefined;
  camera: TrackRef | undefined;
  /** The camera is switched off for now: there is no picture of this person. */
  cameraPaused: boolean;
  generated: TrackRef | undefined;
  /**
   * `fresh` frames worth watching · `stalled` the engine makes none and the last one has stood long
   * enough · `none` not begun.
   */
  generatedPicture: "fresh" | "stalled" | "none";
  fallback: readonly Fallback[];
  policy: PrivacyPolicy;
}

export interface PlannedTrack {
  track: TrackRef;
  /** False: set up, but not flowing, so that a switch needs no negotiation. */
  flowing: boolean;
}

/** At which size a viewer sees a participant, in device pixels. */
export interface TileView {
  visible: boolean;
  width: number;
  height: number;
}

/** What viewers of a participant see now. */
export function shownVideo(publication: Publication): ShownVideo {
  const { camera, cameraPaused, generated, generatedPicture, policy, fallback } = publication;
  if (camera === undefined || cameraPaused) return "none";
  const repainted = generated !== undefined && policy.generated;
  if (repainted && generatedPicture === "fresh") return "generated";
  if (repainted && generatedPicture === "stalled") {
    const picture = pictureAfterGrace(fallback, policy.original);
    return picture === "lastFrame" ? "generated" : picture;
  }
  return policy.original ? "original" : "none";
}

/**
 * The tracks of one participant that one viewer has. What the policy forbids is in nobody's plan.
 * The publisher itself gets its generated track only. A tile that nobody sees costs no picture, but
 * its voice is heard.
 */
export function planTracks(
  publication: Publication,
  viewerId: string,
  view: TileView | undefined = undefined,
): PlannedTrack[] {
  const { participantId, microphone, camera, generated, policy } = publication;
  const own = participantId === viewerId;
  const seen = view?.visible ?? true;
  const shown = shownVideo(publication);
  const plan: PlannedTrack[] = [];
  const add = (track: TrackRef | undefined, flowing: boolean) => {
    if (track !== undefined && permits(policy, track)) plan.push({ track, flowing });
  };
  if (!own) {
    add(microphone, true);
    add(camera, seen && shown === "original");
  }
  add(generated, seen && shown === "generated");
  return plan;
}

/**
 * The spatial layer that fits a tile: the smallest one at least as wide as the tile, where each
 * layer has twice the width of the one below (the top one about 1280 or 640 wide).
 */
export function spatialLayerFor(layers: number, view: TileView | undefined): number {
  const top = layers - 1;
  if (view === undefined) return top;
  // Three layers of a 640 pixel camera are 160, 320 and 640 wide.
  const longer = Math.max(view.width, view.height);
  for (let layer = 0; layer < top; layer++) {
    const layerWidth = TOP_LAYER_PX / 2 ** (top - layer);
    if (longer <= layerWidth * UPSCALING) return layer;
  }
  return top;
}

/** Longer side of the top layer that cameras of the page send. */
const TOP_LAYER_PX = 640;
/** A layer may be shown a little larger than it is before the next one pays. */
const UPSCALING = 1.25;
