/** AV1 temporal units to RTP payloads, after the figures of the AV1 RTP specification. */

export function leb128(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>= 7;
  } while (rest > 0);
  return Buffer.from(bytes);
}

/** The OBUs of a temporal unit in the low-overhead format, each with its size field taken out. */
export function splitTemporalUnit(unit: Buffer): Buffer[] {
  const obus: Buffer[] = [];
  for (let at = 0; at < unit.length; ) {
    const first = unit[at] ?? 0;
    const headerBytes = (first & 4) === 0 ? 1 : 2;
    const header = Buffer.from(unit.subarray(at, at + headerBytes));
    header[0] = first & ~2;
    at += headerBytes;
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = unit[at] ?? 0;
      at += 1;
      size |= (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) break;
    }
    obus.push(Buffer.concat([header, unit.subarray(at, at + size)]));
    at += size;
  }
  return obus;
}

/**
 * Payloads of at most `maxBytes`. Elements have sizes (W = 0), or, `counted`, each payload tells how
 * many there are (W = 1 to 3) and the last one has no size.
 */
export function packetizeAv1(unit: Buffer, maxBytes: number, counted: boolean): Buffer[] {
  const obus = splitTemporalUnit(unit).filter((obu) => (obu[0] ?? 0) >> 3 !== 2);
  const newSequence = obus.some((obu) => (obu[0] ?? 0) >> 3 === 1);
  const payloads: Buffer[] = [];
  let parts: Buffer[] = [];
  let bytes = 1;
  let continues = false;
  const flush = (goesOn: boolean): void => {
    const count = counted ? parts.length : 0;
    const first = payloads.length === 0 && newSequence;
    const header = (continues ? 0x80 : 0) | (goesOn ? 0x40 : 0) | (count << 4) | (first ? 8 : 0);
    const body = parts.flatMap((part, at) =>
      counted && at === parts.length - 1 ? [part] : [leb128(part.length), part],
    );
    payloads.push(Buffer.concat([Buffer.from([header]), ...body]));
    parts = [];
    bytes = 1;
    continues = goesOn;
  };
  for (const obu of obus) {
    let rest = obu;
    while (rest.length > 0) {
      const room = maxBytes - bytes - 3;
      if (room < 8 || (counted && parts.length === 3)) {
        flush(rest.length < obu.length);
        continue;
      }
      parts.push(rest.subarray(0, room));
      bytes += Math.min(room, rest.length) + 3;
      rest = rest.subarray(room);
      if (rest.length > 0) {
        flush(true);
      }
    }
  }
  if (parts.length > 0) {
    flush(false);
  }
  return payloads;
}
