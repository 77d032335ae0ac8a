/**
 * AV1 (https://aomediacodec.github.io/av1-rtp-spec/). A temporal unit, with all its spatial layers,
 * shares an RTP timestamp; it becomes the low-overhead format that FFmpeg's decoders take (AV1
 * bitstream specification, section 5): a temporal delimiter, and a size in each OBU.
 */
import { BitReader } from "./bit-reader.ts";
import type { DepacketizedFrame, Depacketizer } from "./depacketize.ts";

const CONTINUES = 0x80; // Z: the first element began in the packet before
const CONTINUED = 0x40; // Y: the last element goes on in the next packet
const NEW_SEQUENCE = 0x08; // N: a coded video sequence begins
const OBU_EXTENSION = 0x04;
const OBU_HAS_SIZE = 0x02;
const OBU_FORBIDDEN = 0x80;
const SEQUENCE_HEADER = 1;
const TEMPORAL_DELIMITER = 2;
const FRAME_HEADER = 3;
const FRAME = 6;
const TILE_LIST = 8;
const PADDING = 15;
const DELIMITER_UNIT = Buffer.from([(TEMPORAL_DELIMITER << 3) | OBU_HAS_SIZE, 0]);
/** A sequence header has some ten bytes. */
const MOST_HEADER_BYTES = 1024;
/** Elements that a temporal unit may have: far above eight layers of 64 tile groups. */
const MOST_ELEMENTS = 4096;

interface Obu {
  type: number;
  /** Header byte without the size bit, and the extension byte where there is one. */
  header: Buffer;
  body: Buffer;
}

export class Av1Depacketizer implements Depacketizer {
  /** For key frames that come without: in the low-overhead format. */
  #sequenceHeader: Obu | null = null;

  startsFrame(payload: Buffer, afterGap: boolean): boolean {
    const flags = payload[0] ?? CONTINUES;
    // Within a temporal unit packets may begin with a whole OBU as well; N says that this is the first.
    return (flags & CONTINUES) === 0 && (!afterGap || (flags & NEW_SEQUENCE) !== 0);
  }

  startsKeyFrame(payload: Buffer): boolean {
    return this.startsFrame(payload, true);
  }

  assemble(payloads: readonly Buffer[]): DepacketizedFrame | null {
    const elements = joinElements(payloads);
    if (elements === null) {
      return null;
    }
    const obus: Obu[] = [];
    for (const element of elements) {
      const obu = parseObu(element);
      if (obu === null) {
        return null;
      }
      // What belongs to a packet, not to the stream (section 5 of the RTP specification), and filler.
      if (![TEMPORAL_DELIMITER, TILE_LIST, PADDING].includes(obu.type)) {
        obus.push(obu);
      }
    }
    const own = obus.find(({ type }) => type === SEQUENCE_HEADER);
    if (own !== undefined && own.body.length <= MOST_HEADER_BYTES) {
      this.#sequenceHeader = {
        ...own,
        header: Buffer.from(own.header),
        body: Buffer.from(own.body),
      };
    }
    const picture = obus.find(({ type }) => type === FRAME || type === FRAME_HEADER);
    if (picture === undefined) {
      return { data: temporalUnit(obus), keyFrame: false, noPicture: true };
    }
    const sequence = own ?? this.#sequenceHeader;
    if (sequence === null || !isKeyFrame(picture, sequence)) {
      return { data: temporalUnit(obus), keyFrame: false };
    }
    return { data: temporalUnit(own === undefined ? [sequence, ...obus] : obus), keyFrame: true };
  }
}

function temporalUnit(obus: readonly Obu[]): Buffer {
  return Buffer.concat([DELIMITER_UNIT, ...obus.flatMap(write)]);
}

/** The OBU elements of a temporal unit, fragments joined; null when they do not fit together. */
function joinElements(payloads: readonly Buffer[]): Buffer[] | null {
  const elements: Buffer[] = [];
  let open: Buffer[] = [];
  for (const payload of payloads) {
    const flags = payload[0] ?? 0;
    const parts = splitElements(payload);
    if (parts === null || open.length > 0 !== ((flags & CONTINUES) !== 0)) {
      return null;
    }
    parts.forEach((part, at) => {
      open.push(part);
      const goesOn = at === parts.length - 1 && (flags & CONTINUED) !== 0;
      if (!goesOn) {
        elements.push(open.length === 1 ? part : Buffer.concat(open));
        open = [];
      }
    });
    if (elements.length > MOST_ELEMENTS) {
      return null;
    }
  }
  return open.length > 0 || elements.length === 0 ? null : elements;
}

/** Cuts a payload at its aggregation header (section 4.4); null when the sizes do not add up. */
function splitElements(payload: Buffer): Buffer[] | null {
  const count = ((payload[0] ?? 0) >> 4) & 3;
  const parts: Buffer[] = [];
  let offset = 1;
  while (offset < payload.length) {
    // With a count the last element has no size and takes the rest.
    if (count > 0 && parts.length === count - 1) {
      parts.push(payload.subarray(offset));
      return parts;
    }
    const size = readLeb128(payload, offset);
    if (size === null || size.value === 0 || size.end + size.value > payload.length) {
      return null;
    }
    parts.push(payload.subarray(size.end, size.end + size.value));
    offset = size.end + size.value;
  }
  return count > 0 || parts.length === 0 ? null : parts;
}

function parseObu(element: Buffer): Obu | null {
  const first = element[0];
  if (first === undefined || (first & OBU_FORBIDDEN) !== 0) {
    return null;
  }
  const headerBytes = (first & OBU_EXTENSION) !== 0 ? 2 : 1;
  if (element.length < headerBytes) {
    return null;
  }
  const header = Buffer.from(element.subarray(0, headerBytes));
  header[0] = first & ~OBU_HAS_SIZE;
  let body = element.subarray(headerBytes);
  if ((first & OBU_HAS_SIZE) !== 0) {
    const size = readLeb128(element, headerBytes);
    if (size === null || size.end + size.value > element.length) {
      return null;
    }
    body = element.subarray(size.end, size.end + size.value);
  }
  return { type: (first >> 3) & 15, header, body };
}

/** From the frame's own header (5.9.2): N tells the same, where the sender sets it. */
function isKeyFrame(picture: Obu, sequence: Obu): boolean {
  const header = new BitReader(sequence.body.subarray(0, 1));
  header.read(4); // seq_profile, still_picture
  if (header.read(1) === 1) {
    return true; // reduced_still_picture_header: each frame is a key frame.
  }
  const bits = new BitReader(picture.body.subarray(0, 1));
  const showExisting = bits.read(1);
  return picture.body.length > 0 && showExisting === 0 && bits.read(2) === 0;
}

function write({ header, body }: Obu): Buffer[] {
  const first = Buffer.from(header);
  first[0] = (header[0] ?? 0) | OBU_HAS_SIZE;
  return [first, writeLeb128(body.length), body];
}

function readLeb128(data: Buffer, offset: number): { value: number; end: number } | null {
  let value = 0;
  for (let i = 0; i < 8; i += 1) {
    const byte = data[offset + i];
    if (byte === undefined) {
      return null;
    }
    value += (byte & 0x7f) * 2 ** (7 * i);
    if ((byte & 0x80) === 0) {
      return { value, end: offset + i + 1 };
    }
  }
  return null;
}

function writeLeb128(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Buffer.from(bytes);
}
