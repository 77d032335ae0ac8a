/** Takes a browser's track, with the checks and the words that its sender needs. */
import type { types as ms } from "mediasoup";
import type { Source } from "../domain/tracks.ts";
import { DriftlessError, toError } from "../errors.ts";
import { videoCodecOf } from "./codecs.ts";

/** Viewers who ask for key frames closer together than this get the same one. */
const KEY_FRAME_REQUEST_DELAY_MS = 500;

/** @throws DriftlessError UNSUPPORTED_CODEC, INVALID_MESSAGE. */
export async function produceTrack(
  transport: ms.WebRtcTransport,
  participantId: string,
  source: Source,
  kind: ms.MediaKind,
  rtpParameters: ms.RtpParameters,
): Promise<ms.Producer> {
  const first = rtpParameters.codecs[0]?.mimeType ?? "none";
  if (kind === "video" && videoCodecOf(first) === undefined) {
    throw new DriftlessError(
      "UNSUPPORTED_CODEC",
      `Expected video/VP8, video/H264, video/VP9 or video/AV1, got ${first}.`,
    );
  }
  try {
    return await transport.produce({
      kind,
      // One stream id for all tracks of a participant: browsers sync lips by it.
      rtpParameters: { ...rtpParameters, msid: `${participantId} ${source}` },
      keyFrameRequestDelay: KEY_FRAME_REQUEST_DELAY_MS,
    });
  } catch (error) {
    if (transport.closed) throw error;
    // mediasoup explains what is wrong with the parameters; a codec is the usual reason.
    const message = toError(error).message;
    const code = /codec/i.test(message) ? "UNSUPPORTED_CODEC" : "INVALID_MESSAGE";
    throw new DriftlessError(code, `The track was refused: ${message}.`, { cause: error });
  }
}
