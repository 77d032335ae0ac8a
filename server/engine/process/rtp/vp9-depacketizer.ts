/**
 * VP9 (RFC 9628). All spatial layers of a picture share an RTP timestamp; they become one superframe,
 * of which a decoder shows the highest layer. werift-rtp's parser checks no bounds, hence our own.
 */
import { BitReader } from "./bit-reader.ts";
import type { Depacketizer } from "./depacketize.ts";

interface Vp9Payload {
  data: Buffer;
  /** First and last packet of a layer frame. */
  begin: boolean;
  end: boolean;
  spatialLayer: number;
}

/** Reference indices that may follow each other in flexible mode (section 4.2). */
const MOST_REFERENCES = 3;
const MOST_FRAMES = 8;

/** Reads the payload descriptor (RFC 9628, section 4.2); null when it is cut off or not legal. */
function parseVp9(payload: Buffer): Vp9Payload | null {
  const flags = payload[0];
  if (flags === undefined) {
    return null;
  }
  const [pictureId, predicted, layers, flexible, begin, end, structure] = [
    0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02,
  ].map((bit) => (flags & bit) !== 0);
  let offset = 1;
  let spatialLayer = 0;
  if (pictureId) {
    offset += ((payload[offset] ?? 0) & 0x80) !== 0 ? 2 : 1;
  }
  if (layers) {
    spatialLayer = ((payload[offset] ?? 0) >> 1) & 7;
    // Without flexible mode TL0PICIDX follows.
    offset += flexible ? 1 : 2;
  }
  if (flexible && predicted) {
    let more = true;
    for (let count = 0; more; count += 1) {
      if (count === MOST_REFERENCES) {
        return null;
      }
      more = ((payload[offset] ?? 0) & 1) !== 0;
      offset += 1;
    }
  }
  if (structure) {
    offset = skipScalabilityStructure(payload, offset);
  }
  if (offset >= payload.length) {
    return null;
  }
  return { data: payload.subarray(offset), begin: begin === true, end: end === true, spatialLayer };
}

/** @returns where the scalability structure ends (section 4.2.1), beyond the end when cut off */
function skipScalabilityStructure(payload: Buffer, start: number): number {
  const flags = payload[start] ?? 0;
  let offset = start + 1;
  if ((flags & 0x10) !== 0) {
    offset += 4 * ((flags >> 5) + 1);
  }
  if ((flags & 0x08) !== 0) {
    const pictures = payload[offset] ?? 0;
    offset += 1;
    for (let i = 0; i < pictures && offset < payload.length; i += 1) {
      offset += 1 + (((payload[offset] ?? 0) >> 2) & 3);
    }
  }
  return offset;
}

/** From the frame's own uncompressed header: P = 0 would also hold for intra-only frames. */
function isKeyFrame(frame: Buffer): boolean {
  const bits = new BitReader(frame.subarray(0, 2));
  const marker = bits.read(2);
  const profile = bits.read(1) + 2 * bits.read(1);
  if (profile === 3) {
    bits.read(1);
  }
  const showExisting = bits.read(1);
  return marker === 2 && showExisting === 0 && bits.read(1) === 0;
}

/**
 * Layer frames as a superframe (VP9 bitstream specification, annex B): its index tells decoders where
 * each one ends.
 */
function superframe(frames: readonly Buffer[]): Buffer {
  const most = Math.max(...frames.map((frame) => frame.length));
  const bytes = most > 0xffffff ? 4 : most > 0xffff ? 3 : most > 0xff ? 2 : 1;
  const marker = 0xc0 | ((bytes - 1) << 3) | (frames.length - 1);
  const index = Buffer.alloc(2 + bytes * frames.length, marker);
  frames.forEach((frame, at) => {
    index.writeUIntLE(frame.length, 1 + at * bytes, bytes);
  });
  return Buffer.concat([...frames, index]);
}

export const vp9Depacketizer: Depacketizer = {
  startsFrame(payload) {
    const parsed = parseVp9(payload);
    return parsed?.begin === true && parsed.spatialLayer === 0;
  },
  startsKeyFrame(payload) {
    const parsed = parseVp9(payload);
    return parsed?.begin === true && parsed.spatialLayer === 0 && isKeyFrame(parsed.data);
  },
  assemble(payloads) {
    const frames: Buffer[] = [];
    let parts: Buffer[] = [];
    let layer = -1;
    for (const payload of payloads) {
      const parsed = parseVp9(payload);
      if (parsed === null || parsed.begin !== (parts.length === 0)) {
        return null;
      }
      if (parsed.begin ? parsed.spatialLayer <= layer : parsed.spatialLayer !== layer) {
        return null;
      }
      layer = parsed.spatialLayer;
      parts.push(parsed.data);
      if (parsed.end) {
        frames.push(Buffer.concat(parts));
        parts = [];
      }
    }
    const [first] = frames;
    if (first === undefined || parts.length > 0 || frames.length > MOST_FRAMES) {
      return null;
    }
    return { data: frames.length === 1 ? first : superframe(frames), keyFrame: isKeyFrame(first) };
  },
};
