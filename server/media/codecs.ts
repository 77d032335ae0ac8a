/** The codecs of every router. RTX, transport-cc, NACK and PLI come with mediasoup. */
import type { types as ms } from "mediasoup";

/** What the engine decodes. */
export type VideoCodec = "vp8" | "h264" | "vp9" | "av1";
/** What the engine encodes. */
export type OutputCodec = "vp8" | "h264";

export const ROUTER_CODECS: ms.RouterRtpCodecCapability[] = [
  { kind: "audio", mimeType: "audio/opus", clockRate: 48000, channels: 2 },
  { kind: "video", mimeType: "video/VP8", clockRate: 90000 },
  {
    kind: "video",
    mimeType: "video/H264",
    clockRate: 90000,
    parameters: {
      "packetization-mode": 1,
      // Constrained baseline 3.1: what every browser can send and receive.
      "profile-level-id": "42e01f",
      "level-asymmetry-allowed": 1,
    },
  },
  // After those that every browser plays: they are sent where a camera prefers them.
  { kind: "video", mimeType: "video/VP9", clockRate: 90000, parameters: { "profile-id": 0 } },
  { kind: "video", mimeType: "video/AV1", clockRate: 90000 },
];

export const ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

const VIDEO_ORIENTATION = "urn:3gpp:video-orientation";

/**
 * What clients may negotiate. Without the orientation extension phones rotate their picture before
 * they encode it; with it the engine would repaint pictures that lie on their side.
 */
export function clientCapabilities(router: ms.RtpCapabilities): ms.RtpCapabilities {
  const { headerExtensions = [] } = router;
  return {
    ...router,
    headerExtensions: headerExtensions.filter(({ uri }) => uri !== VIDEO_ORIENTATION),
  };
}

/** "video/VP8" becomes "vp8"; undefined for what the engine cannot decode. */
export function videoCodecOf(mimeType: string): VideoCodec | undefined {
  const name = mimeType.toLowerCase();
  if (name === "video/vp8") return "vp8";
  if (name === "video/h264") return "h264";
  if (name === "video/vp9") return "vp9";
  if (name === "video/av1") return "av1";
  return undefined;
}

/** What a camera of this codec is sent on as: every browser plays both. */
export function outputCodecFor(input: VideoCodec): OutputCodec {
  return input === "h264" ? "h264" : "vp8";
}
