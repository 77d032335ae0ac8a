/**
 * H.264 access units (Annex B) to RTP payloads (RFC 6184, packetization mode 1): small NAL units
 * alone, parameter sets together in a STAP-A, large ones in FU-A fragments.
 */
import { MAX_PAYLOAD_BYTES } from "./vp8-packetizer.ts";

const NAL_TYPE = 0x1f;
const NAL_HEADER_TOP = 0xe0;
const SPS = 7;
const PPS = 8;
const ACCESS_UNIT_DELIMITER = 9;
const FILLER = 12;
const STAP_A = 24;
const FU_A = 28;
const FU_START = 0x80;
const FU_END = 0x40;

/** The NAL units of an Annex B stream, without start codes. */
export function splitAnnexB(data: Uint8Array): Uint8Array[] {
  const units: Uint8Array[] = [];
  let start = -1;
  for (let i = 0; i + 2 < data.length; i += 1) {
    if (data[i] !== 0 || data[i + 1] !== 0 || data[i + 2] !== 1) {
      continue;
    }
    if (start >= 0) {
      pushUnit(units, data, start, i);
    }
    start = i + 3;
    i += 2;
  }
  if (start >= 0) {
    pushUnit(units, data, start, data.length);
  }
  return units;
}

function pushUnit(units: Uint8Array[], data: Uint8Array, start: number, end: number): void {
  // Zeros before a start code belong to it (4-byte codes, trailing zeros), not to the unit.
  let last = end;
  while (last > start && data[last - 1] === 0) {
    last -= 1;
  }
  if (last > start) {
    units.push(data.subarray(start, last));
  }
}

/** Payloads of one access unit, in order. Delimiters and filler are left out. */
export function packetizeH264(
  accessUnit: Uint8Array,
  maxPayloadBytes = MAX_PAYLOAD_BYTES,
): Buffer[] {
  const payloads: Buffer[] = [];
  let parameterSets: Uint8Array[] = [];
  const flush = (): void => {
    payloads.push(...aggregate(parameterSets, maxPayloadBytes));
    parameterSets = [];
  };
  for (const unit of splitAnnexB(accessUnit)) {
    const type = (unit[0] ?? 0) & NAL_TYPE;
    if (type === ACCESS_UNIT_DELIMITER || type === FILLER) {
      continue;
    }
    if (type === SPS || type === PPS) {
      parameterSets.push(unit);
      continue;
    }
    flush();
    payloads.push(...single(unit, maxPayloadBytes));
  }
  flush();
  return payloads;
}

/** One STAP-A when it fits and helps, else each unit by itself. */
function aggregate(units: Uint8Array[], maxPayloadBytes: number): Buffer[] {
  const bytes = units.reduce((sum, unit) => sum + 2 + unit.length, 1);
  if (units.length < 2 || bytes > maxPayloadBytes) {
    return units.flatMap((unit) => single(unit, maxPayloadBytes));
  }
  const payload = Buffer.allocUnsafe(bytes);
  const importance = Math.max(...units.map((unit) => (unit[0] ?? 0) & 0x60));
  payload[0] = importance | STAP_A;
  let offset = 1;
  for (const unit of units) {
    payload.writeUInt16BE(unit.length, offset);
    payload.set(unit, offset + 2);
    offset += 2 + unit.length;
  }
  return [payload];
}

function single(unit: Uint8Array, maxPayloadBytes: number): Buffer[] {
  return unit.length <= maxPayloadBytes ? [Buffer.from(unit)] : fragment(unit, maxPayloadBytes);
}

function fragment(unit: Uint8Array, maxPayloadBytes: number): Buffer[] {
  const header = unit[0] ?? 0;
  const body = unit.subarray(1);
  const parts = Math.ceil(body.length / (maxPayloadBytes - 2));
  const partBytes = Math.ceil(body.length / parts);
  const payloads: Buffer[] = [];
  for (let offset = 0; offset < body.length; offset += partBytes) {
    const part = body.subarray(offset, offset + partBytes);
    const start = offset === 0 ? FU_START : 0;
    const end = offset + partBytes >= body.length ? FU_END : 0;
    const payload = Buffer.allocUnsafe(2 + part.length);
    payload[0] = (header & NAL_HEADER_TOP) | FU_A;
    payload[1] = start | end | (header & NAL_TYPE);
    payload.set(part, 2);
    payloads.push(payload);
  }
  return payloads;
}
