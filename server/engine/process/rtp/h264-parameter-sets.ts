/**
 * The parameter sets of an H.264 stream (ITU-T H.264, 7.3.2), by their ids. Some senders give them in
 * RTP packets of their own, once, and then send IDR pictures without them.
 */
import { BitReader } from "./bit-reader.ts";

const MOST_SPS = 32;
const MOST_PPS = 256;
/** A parameter set of a camera has some ten bytes; scaling lists make it a few hundred. */
const MOST_BYTES = 1024;
/** Bytes of a NAL unit within which the ids are. */
const HEAD_BYTES = 24;

export class H264ParameterSets {
  readonly #sps = new Map<number, Buffer>();
  readonly #pps = new Map<number, { unit: Buffer; spsId: number }>();

  /** Bytes kept. */
  get bytes(): number {
    const units = [...this.#sps.values(), ...[...this.#pps.values()].map(({ unit }) => unit)];
    return units.reduce((sum, unit) => sum + unit.length, 0);
  }

  /** Keeps a sequence parameter set, in place of the one with its id. */
  addSps(unit: Buffer): void {
    // profile_idc, constraint flags, level_idc, then the id.
    const bits = new BitReader(head(unit));
    bits.read(24);
    const id = bits.readExpGolomb();
    if (!bits.overrun && id < MOST_SPS && unit.length <= MOST_BYTES) {
      this.#sps.set(id, Buffer.from(unit));
    }
  }

  /** Keeps a picture parameter set, in place of the one with its id. */
  addPps(unit: Buffer): void {
    const bits = new BitReader(head(unit));
    const id = bits.readExpGolomb();
    const spsId = bits.readExpGolomb();
    if (!bits.overrun && id < MOST_PPS && spsId < MOST_SPS && unit.length <= MOST_BYTES) {
      this.#pps.set(id, { unit: Buffer.from(unit), spsId });
    }
  }

  /**
   * The sets that pictures with these PPS ids need, sequence parameter sets first; null when one of
   * them is not known.
   */
  neededFor(ppsIds: ReadonlySet<number>): Buffer[] | null {
    const sps = new Map<number, Buffer>();
    const pps: Buffer[] = [];
    for (const id of ppsIds) {
      const found = this.#pps.get(id);
      const sequence = found === undefined ? undefined : this.#sps.get(found.spsId);
      if (found === undefined || sequence === undefined) {
        return null;
      }
      sps.set(found.spsId, sequence);
      pps.push(found.unit);
    }
    return [...sps.values(), ...pps];
  }
}

export interface SliceHead {
  firstMacroblock: number;
  ppsId: number;
}

/** The beginning of a slice (7.3.3), or null when it is cut off. */
export function readSliceHead(unit: Buffer): SliceHead | null {
  const bits = new BitReader(head(unit));
  const firstMacroblock = bits.readExpGolomb();
  bits.readExpGolomb(); // slice_type
  const ppsId = bits.readExpGolomb();
  return bits.overrun || ppsId >= MOST_PPS ? null : { firstMacroblock, ppsId };
}

/** The first bytes behind the NAL unit's header, without emulation prevention (7.4.1). */
function head(unit: Buffer): Uint8Array {
  const bytes: number[] = [];
  let zeros = 0;
  for (const byte of unit.subarray(1, HEAD_BYTES)) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    zeros = byte === 0 ? zeros + 1 : 0;
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
