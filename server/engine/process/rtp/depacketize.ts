/**
 * From RTP payloads to encoded frames. Payloads come from strangers: whatever their bytes are, nothing
 * here throws, and nothing is read past their ends.
 */
import type { VideoCodec } from "../native.ts";
import { Av1Depacketizer } from "./av1-depacketizer.ts";
import { H264Depacketizer } from "./h264-depacketizer.ts";
import { vp8Depacketizer } from "./vp8-depacketizer.ts";
import { vp9Depacketizer } from "./vp9-depacketizer.ts";

/** What a camera may send; generated tracks are VP8 or H.264 alone. */
export type InputCodec = VideoCodec | "vp9" | "av1";

export interface DepacketizedFrame {
  /**
   * One frame as FFmpeg's decoders take it. VP8: the frame. H.264: Annex B with 4-byte start codes.
   * VP9: the frame, or a superframe of all spatial layers. AV1: a temporal unit with its delimiter,
   * all OBUs with sizes.
   */
  data: Buffer;
  /** Decoding can begin with it, and needs nothing else for it: parameter sets are in it. */
  keyFrame: boolean;
  /** There is nothing to show in it; what it carries (parameter sets) was kept for later frames. */
  noPicture?: true;
}

/** Of one stream: it may keep what later frames need. */
export interface Depacketizer {
  /**
   * Whether a frame begins with this payload. After a gap only a sure sign counts: what came before
   * in the same frame may be lost.
   */
  startsFrame(payload: Buffer, afterGap: boolean): boolean;
  /** Whether a key frame begins with this payload, as far as the payload alone tells. */
  startsKeyFrame(payload: Buffer): boolean;
  /** Joins all payloads of a frame, in order; null when they do not form one. */
  assemble(payloads: readonly Buffer[]): DepacketizedFrame | null;
}

export function createDepacketizer(codec: InputCodec): Depacketizer {
  switch (codec) {
    case "vp8":
      return vp8Depacketizer;
    case "h264":
      return new H264Depacketizer();
    case "vp9":
      return vp9Depacketizer;
    case "av1":
      return new Av1Depacketizer();
  }
}
