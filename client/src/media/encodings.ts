/** How a camera is encoded: layers and bit rates. Pure, so that the table can be tested. */
import type { types } from "mediasoup-client";

/** Bit rates of the layers, smallest layer first; each has twice the width of the one below. */
const LAYER_BITRATES_BPS = {
  1: [1_200_000],
  2: [250_000, 1_200_000],
  3: [150_000, 400_000, 1_200_000],
} as const;
const MAX_FRAME_RATE = 30;
/**
 * From how many pixels of the camera Chromium sends two and three layers. It leaves out the layers
 * above without a word, the full size first (libwebrtc, video/config/simulcast.cc).
 */
const TWO_LAYERS_FROM = 480 * 270;
const THREE_LAYERS_FROM = 960 * 540;
/** The largest picture that is sent, in pixels of the larger side. */
const LARGEST = 640;
/** Share of the server's limit for one sender that is left to voice and retransmissions. */
const HEADROOM = 0.9;

/** Size of the picture that is sent; 0 where the browser does not say. */
export interface CameraSize {
  width: number;
  height: number;
}

/** What can change about a layer while it is sent. */
export interface LayerSettings {
  active: boolean;
  maxBitrate: number;
  scaleResolutionDownBy: number;
}

/**
 * The encodings of a camera: up to three sizes at once for VP8 and H.264, as many as browsers send
 * of a picture of this size; one scalable stream for VP9 and AV1.
 * @param mimeType of the codec that will be negotiated, such as "video/VP8"
 * @param limitBps what the server takes from one sender
 */
export function cameraEncodings(
  mimeType: string,
  size: CameraSize,
  limitBps: number,
): types.RtpEncodingParameters[] {
  const scalable = /\/(?:vp9|av1)$/iu.test(mimeType);
  const layers = layerCount(size);
  const encodings = fittingLayers(scalable ? 1 : layers, size, limitBps).map(
    ({ maxBitrate, scaleResolutionDownBy }) => ({
      maxBitrate,
      maxFramerate: MAX_FRAME_RATE,
      scaleResolutionDownBy,
    }),
  );
  const scalabilityMode = layers === 1 ? "L1T3" : "L3T3_KEY";
  return scalable ? encodings.map((each) => ({ ...each, scalabilityMode })) : encodings;
}

/**
 * The layers of a sender that has `encodings` of them, smallest first, for a camera of this size. A
 * camera that gives more than is wanted is brought down to it; one that is too small for all layers
 * is sent whole in the highest that is sent at all.
 */
export function fittingLayers(
  encodings: number,
  size: CameraSize,
  limitBps: number,
): LayerSettings[] {
  const sent = Math.max(1, Math.min(encodings, layerCount(size))) as 1 | 2 | 3;
  const bitratesBps = LAYER_BITRATES_BPS[sent];
  const totalBps = bitratesBps.reduce((sum, each) => sum + each, 0);
  const share = Math.min(1, (limitBps * HEADROOM) / totalBps);
  const top = Math.max(1, Math.max(size.width, size.height) / LARGEST);
  return Array.from({ length: encodings }, (_, layer) => {
    const used = Math.min(layer, sent - 1);
    return {
      active: layer < sent,
      maxBitrate: Math.round((bitratesBps[used] ?? 0) * share),
      scaleResolutionDownBy: top * 2 ** (sent - 1 - used),
    };
  });
}

function layerCount({ width, height }: CameraSize): 1 | 2 | 3 {
  const pixels = width * height;
  if (pixels >= THREE_LAYERS_FROM) return 3;
  return pixels >= TWO_LAYERS_FROM ? 2 : 1;
}
