/** One encoded frame of a file. */
export interface MediaFrame {
  data: Buffer;
  keyFrame: boolean;
}

const IVF_HEADER_BYTES = 32;
const IVF_FRAME_HEADER_BYTES = 12;

/**
 * VP8 frames of an IVF file, in order. A key frame has bit 0 of its first byte clear (RFC 6386, 9.1).
 * @throws Error if the file is not IVF or ends inside a frame
 */
export function readIvf(file: Buffer): MediaFrame[] {
  const signature = file.toString("latin1", 0, 4);
  if (signature !== "DKIF") throw new Error(`IVF: expected signature DKIF, got "${signature}"`);
  const frames: MediaFrame[] = [];
  let at = IVF_HEADER_BYTES;
  while (at + IVF_FRAME_HEADER_BYTES <= file.length) {
    const size = file.readUInt32LE(at);
    at += IVF_FRAME_HEADER_BYTES;
    if (at + size > file.length) {
      throw new Error(`IVF: expected a frame of ${size} bytes, got ${file.length - at}`);
    }
    const data = file.subarray(at, at + size);
    frames.push({ data, keyFrame: size > 0 && ((data[0] ?? 1) & 1) === 0 });
    at += size;
  }
  return frames;
}

const OGG_PAGE_HEADER_BYTES = 27;

/**
 * Opus packets of an Ogg file without its two header packets (RFC 7845, RFC 3533 section 6).
 * @throws Error if a page does not start with its capture pattern
 */
export function readOggOpus(file: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  let parts: Buffer[] = [];
  let at = 0;
  while (at + OGG_PAGE_HEADER_BYTES <= file.length) {
    const pattern = file.toString("latin1", at, at + 4);
    if (pattern !== "OggS") throw new Error(`Ogg: expected a page at ${at}, got "${pattern}"`);
    const segments = file[at + 26] ?? 0;
    const table = file.subarray(at + OGG_PAGE_HEADER_BYTES, at + OGG_PAGE_HEADER_BYTES + segments);
    at += OGG_PAGE_HEADER_BYTES + segments;
    for (const lacing of table) {
      parts.push(file.subarray(at, at + lacing));
      at += lacing;
      // A packet ends with the first segment that is shorter than 255 bytes.
      if (lacing < 255) {
        packets.push(Buffer.concat(parts));
        parts = [];
      }
    }
  }
  return packets.slice(2);
}
