/**
 * From RTP payloads to encoded frames, for VP8 (RFC 7741) and H.264 (RFC 6184). werift-rtp parses;
 * here are the checks that it does not make, because payloads come from strangers.
 */
import { H264RtpPayload, Vp8RtpPayload } from "werift-rtp";
import type { VideoCodec } from "../native.ts";

export interface DepacketizedFrame {
  /** VP8: the frame. H.264: Annex B with 4-byte start codes. */
  data: Buffer;
  keyFrame: boolean;
}

export interface Depacketizer {
  /**
   * Whether a frame begins with this payload. After a gap only a sure sign counts: what came before
   * in the same frame may be lost.
   */
  startsFrame(payload: Buffer, afterGap: boolean): boolean;
  /** Joins all payloads of a frame, in order; null when they do not form one. */
  assemble(payloads: readonly Buffer[]): DepacketizedFrame | null;
}

export function createDepacketizer(codec: VideoCodec): Depacketizer {
  return codec === "vp8" ? vp8Depacketizer : h264Depacketizer;
}

/** The payload behind the VP8 descriptor, or null when the descriptor is cut off. */
function parseVp8(payload: Buffer): { data: Buffer; startsFrame: boolean } | null {
  const parsed = tryVp8(payload);
  if (parsed === null) {
    return null;
  }
  let data = parsed.payload;
  // werift skips the TID/KEYIDX byte only with L or K; RFC 7741 has it with T or K.
  if (parsed.tBit && !parsed.lBit && !parsed.kBit) {
    data = data.subarray(1);
  }
  return data.length === 0 ? null : { data, startsFrame: parsed.sBit === 1 && parsed.pid === 0 };
}

function tryVp8(payload: Buffer): Vp8RtpPayload | null {
  try {
    return Vp8RtpPayload.deSerialize(payload);
  } catch {
    // werift reads past the end of a descriptor that is cut off.
    return null;
  }
}

const vp8Depacketizer: Depacketizer = {
  startsFrame(payload) {
    return parseVp8(payload)?.startsFrame ?? false;
  },
  assemble(payloads) {
    const parts: Buffer[] = [];
    for (const payload of payloads) {
      const parsed = parseVp8(payload);
      if (parsed === null || parsed.startsFrame !== (parts.length === 0)) {
        return null;
      }
      parts.push(parsed.data);
    }
    const data = Buffer.concat(parts);
    // Bit 0 of the frame tag: 0 for a key frame.
    return data.length === 0 ? null : { data, keyFrame: ((data[0] ?? 1) & 1) === 0 };
  },
};

const NAL_TYPE = 0x1f;
const IDR = 5;
const SPS = 7;
const DELIMITER = 9;
const STAP_A = 24;
const FU_A = 28;
const FU_START = 0x80;

const h264Depacketizer: Depacketizer = {
  startsFrame(payload, afterGap) {
    const type = nalType(payload);
    if (afterGap) {
      // Browsers begin a key frame with its parameter sets, and no other frame will do then.
      return (
        type === DELIMITER ||
        type === SPS ||
        (type === STAP_A && (stapNalTypes(payload)?.includes(SPS) ?? false))
      );
    }
    return type === FU_A ? ((payload[1] ?? 0) & FU_START) !== 0 : type > 0 && type <= STAP_A;
  },
  assemble(payloads) {
    const parts: Buffer[] = [];
    const types: number[] = [];
    let fragment: Buffer | undefined;
    for (const payload of payloads) {
      const type = nalType(payload);
      if (payload.length < 2 || (fragment !== undefined) !== continuesFragment(payload)) {
        return null;
      }
      if (type === STAP_A) {
        const inner = stapNalTypes(payload);
        if (inner === null) {
          return null;
        }
        types.push(...inner);
      } else if (type === FU_A) {
        types.push((payload[1] ?? 0) & NAL_TYPE);
      } else if (type > 0 && type < STAP_A) {
        types.push(type);
      } else {
        return null;
      }
      const parsed = H264RtpPayload.deSerialize(payload, fragment);
      fragment = parsed.fragment;
      if (fragment === undefined) {
        parts.push(parsed.payload);
      }
    }
    if (parts.length === 0 || fragment !== undefined) {
      return null;
    }
    return { data: Buffer.concat(parts), keyFrame: types.includes(IDR) };
  },
};

function nalType(payload: Buffer): number {
  return (payload[0] ?? 0) & NAL_TYPE;
}

/** Whether this is a later part of a fragmented NAL unit. */
function continuesFragment(payload: Buffer): boolean {
  return nalType(payload) === FU_A && ((payload[1] ?? 0) & FU_START) === 0;
}

/** NAL types inside a STAP-A, or null when its sizes do not add up. */
function stapNalTypes(payload: Buffer): number[] | null {
  const types: number[] = [];
  let offset = 1;
  while (offset < payload.length) {
    if (offset + 3 > payload.length) {
      return null;
    }
    const size = payload.readUInt16BE(offset);
    offset += 2;
    if (size === 0 || offset + size > payload.length) {
      return null;
    }
    types.push((payload[offset] ?? 0) & NAL_TYPE);
    offset += size;
  }
  return types.length === 0 ? null : types;
}
