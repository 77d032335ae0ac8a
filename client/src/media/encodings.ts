/** How a camera is encoded: layers and bit rates. Pure, so that the table can be tested. */
import type { types } from "mediasoup-client";

/** Smallest, middle and full size; each layer has twice the width and height of the one below. */
const LAYERS = [
  { maxBitrate: 150_000 },
  { maxBitrate: 400_000 },
  { maxBitrate: 1_200_000 },
] as const;
const FULL_BPS = 1_200_000;
const MAX_FRAME_RATE = 30;
/** A quarter of less is not worth an encoder of its own. In pixels of the larger side. */
const SIMULCAST_FROM = 480;
/** The largest picture that is sent, in pixels of the larger side. */
const LARGEST = 640;
/** Share of the server's limit for one sender that is left to voice and retransmissions. */
const HEADROOM = 0.9;

/** Size of the picture that is sent; 0 where the browser does not say. */
export interface CameraSize {
  width: number;
  height: number;
}

/**
 * The encodings of a camera: three sizes at once where the codec is VP8 or H.264 and the picture
 * is large enough, one scalable stream for VP9 and AV1.
 * @param mimeType of the codec that will be negotiated, such as "video/VP8"
 * @param limitBps what the server takes from one sender
 * @param layered false: one size only
 */
export function cameraEncodings(
  mimeType: string,
  size: CameraSize,
  limitBps: number,
  layered = true,
): types.RtpEncodingParameters[] {
  const share = (wanted: number, total: number): number =>
    Math.round(wanted * Math.min(1, (limitBps * HEADROOM) / total));
  const single = { maxBitrate: share(FULL_BPS, FULL_BPS), maxFramerate: MAX_FRAME_RATE };
  const large = layered && Math.max(size.width, size.height) >= SIMULCAST_FROM;
  const scaled = (encodings: types.RtpEncodingParameters[]): types.RtpEncodingParameters[] => {
    const scales = layerScales(encodings.length, size);
    return encodings.map((each, index) => ({
      ...each,
      scaleResolutionDownBy: scales[index] ?? 1,
    }));
  };
  if (/\/(?:vp9|av1)$/iu.test(mimeType)) {
    return scaled([{ ...single, scalabilityMode: large ? "L3T3_KEY" : "L1T3" }]);
  }
  if (!large) return scaled([single]);
  const total = LAYERS.reduce((sum, { maxBitrate }) => sum + maxBitrate, 0);
  return scaled(
    LAYERS.map(({ maxBitrate }) => ({
      maxBitrate: share(maxBitrate, total),
      maxFramerate: MAX_FRAME_RATE,
    })),
  );
}

/**
 * By how much each layer is made smaller, smallest layer first: a camera that gives more than is
 * wanted is brought down to it.
 */
export function layerScales(layers: number, { width, height }: CameraSize): number[] {
  const top = Math.max(1, Math.max(width, height) / LARGEST);
  return Array.from({ length: layers }, (_, index) => top * 2 ** (layers - 1 - index));
}
