/**
 * H.264 (RFC 6184, packetization modes 0 and 1): single NAL units, STAP-A and FU-A. Parameter sets
 * that come apart from their picture are kept, and put before each IDR picture that comes without.
 */
import type { DepacketizedFrame, Depacketizer } from "./depacketize.ts";
import { H264ParameterSets, readSliceHead } from "./h264-parameter-sets.ts";

const NAL_TYPE = 0x1f;
const NAL_HEADER_TOP = 0xe0;
const SLICE = 1;
const IDR = 5;
const SPS = 7;
const PPS = 8;
const DELIMITER = 9;
const STAP_A = 24;
const FU_A = 28;
const FU_START = 0x80;
const FU_END = 0x40;
const START_CODE = Buffer.from([0, 0, 0, 1]);

export class H264Depacketizer implements Depacketizer {
  readonly #parameterSets = new H264ParameterSets();
  /** The sender gives parameter sets apart from pictures: a picture without them is no torn one. */
  #setsApart = false;

  startsFrame(payload: Buffer, afterGap: boolean): boolean {
    const type = nalType(payload);
    if (!afterGap) {
      return type === FU_A ? isFragmentStart(payload) : type > 0 && type <= STAP_A;
    }
    // Browsers begin a key frame with its parameter sets, and no other frame will do then.
    const units = type === STAP_A ? (splitAggregate(payload) ?? []) : [payload];
    if (units.some((unit) => nalType(unit) === DELIMITER || nalType(unit) === SPS)) {
      return true;
    }
    return this.#setsApart && startsIdrPicture(payload);
  }

  startsKeyFrame(payload: Buffer): boolean {
    const units = nalType(payload) === STAP_A ? (splitAggregate(payload) ?? []) : [payload];
    return (
      units.some((unit) => nalType(unit) === SPS) || (this.#setsApart && startsIdrPicture(payload))
    );
  }

  assemble(payloads: readonly Buffer[]): DepacketizedFrame | null {
    const units = splitUnits(payloads);
    if (units === null) {
      return null;
    }
    const types = new Set(units.map(nalType));
    for (const unit of units) {
      if (nalType(unit) === SPS) {
        this.#parameterSets.addSps(unit);
      } else if (nalType(unit) === PPS) {
        this.#parameterSets.addPps(unit);
      }
    }
    if (![...types].some((type) => type >= SLICE && type <= IDR)) {
      this.#setsApart ||= types.has(SPS) || types.has(PPS);
      return { data: annexB(units), keyFrame: false, noPicture: true };
    }
    if (!types.has(IDR)) {
      return { data: annexB(units), keyFrame: false };
    }
    return this.#assembleIdr(units, types);
  }

  #assembleIdr(units: Buffer[], types: ReadonlySet<number>): DepacketizedFrame | null {
    if (types.has(SPS) && types.has(PPS)) {
      this.#setsApart = false;
      return { data: annexB(units), keyFrame: true };
    }
    const ppsIds = new Set<number>();
    for (const unit of units.filter((candidate) => nalType(candidate) === IDR)) {
      const slice = readSliceHead(unit);
      if (slice === null) {
        return null;
      }
      ppsIds.add(slice.ppsId);
    }
    const needed = this.#parameterSets.neededFor(ppsIds);
    if (needed === null) {
      // A decoder that knows the sets from before may go on with it; nobody can begin with it.
      return { data: annexB(units), keyFrame: false };
    }
    this.#setsApart = !types.has(SPS);
    // A delimiter must stay the first of its access unit.
    const delimiters = units.filter((unit) => nalType(unit) === DELIMITER);
    const others = units.filter((unit) => nalType(unit) !== DELIMITER);
    return { data: annexB([...delimiters, ...needed, ...others]), keyFrame: true };
  }
}

function nalType(payload: Uint8Array): number {
  return (payload[0] ?? 0) & NAL_TYPE;
}

function isFragmentStart(payload: Buffer): boolean {
  return nalType(payload) === FU_A && ((payload[1] ?? 0) & FU_START) !== 0;
}

/** Whether the first slice of an IDR picture begins here: none before it can be lost. */
function startsIdrPicture(payload: Buffer): boolean {
  let unit = payload;
  if (isFragmentStart(payload)) {
    unit = payload.subarray(1);
  }
  return nalType(unit) === IDR && readSliceHead(unit)?.firstMacroblock === 0;
}

function annexB(units: readonly Buffer[]): Buffer {
  return Buffer.concat(units.flatMap((unit) => [START_CODE, unit]));
}

/** The NAL units in the payloads of a frame, or null when they do not fit together. */
function splitUnits(payloads: readonly Buffer[]): Buffer[] | null {
  const units: Buffer[] = [];
  let fragments: Buffer[] = [];
  for (const payload of payloads) {
    const type = nalType(payload);
    const continues = type === FU_A && !isFragmentStart(payload);
    if (payload.length < 2 || fragments.length > 0 !== continues) {
      return null;
    }
    if (type === STAP_A) {
      const inner = splitAggregate(payload);
      if (inner === null) {
        return null;
      }
      units.push(...inner);
    } else if (type === FU_A) {
      if (!continues) {
        const header = ((payload[0] ?? 0) & NAL_HEADER_TOP) | ((payload[1] ?? 0) & NAL_TYPE);
        fragments.push(Buffer.from([header]));
      }
      fragments.push(payload.subarray(2));
      if (((payload[1] ?? 0) & FU_END) !== 0) {
        units.push(Buffer.concat(fragments));
        fragments = [];
      }
    } else if (type > 0 && type < STAP_A) {
      units.push(payload);
    } else {
      return null;
    }
  }
  return units.length === 0 || fragments.length > 0 ? null : units;
}

/** NAL units inside a STAP-A, or null when its sizes do not add up. */
function splitAggregate(payload: Buffer): Buffer[] | null {
  const units: Buffer[] = [];
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
    units.push(payload.subarray(offset, offset + size));
    offset += size;
  }
  return units.length === 0 ? null : units;
}
