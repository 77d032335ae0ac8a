/** VP8 (RFC 7741). werift-rtp parses; here are the checks that it does not make. */
import { Vp8RtpPayload } from "werift-rtp";
import type { Depacketizer } from "./depacketize.ts";

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

export const vp8Depacketizer: Depacketizer = {
  startsFrame(payload) {
    return parseVp8(payload)?.startsFrame ?? false;
  },
  startsKeyFrame(payload) {
    const parsed = parseVp8(payload);
    return parsed?.startsFrame === true && ((parsed.data[0] ?? 1) & 1) === 0;
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
