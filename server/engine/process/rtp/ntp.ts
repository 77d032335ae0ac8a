/** Conversions between Unix milliseconds and NTP's 32.32 fixed point seconds since 1900. */

const UNIX_EPOCH_IN_NTP_S = 2_208_988_800;
const TWO_POW_32 = 2 ** 32;

/** @param unixMs milliseconds since 1970, fractions allowed */
export function unixMsToNtp(unixMs: number): bigint {
  const seconds = Math.floor(unixMs / 1000);
  const fraction = Math.min(
    TWO_POW_32 - 1,
    Math.round(((unixMs - seconds * 1000) / 1000) * TWO_POW_32),
  );
  return (BigInt(seconds + UNIX_EPOCH_IN_NTP_S) << 32n) | BigInt(fraction);
}

/** Unix milliseconds of an NTP time, to about a microsecond. */
export function ntpToUnixMs(ntp: bigint): number {
  const seconds = Number(ntp >> 32n) - UNIX_EPOCH_IN_NTP_S;
  return seconds * 1000 + (Number(ntp & 0xffffffffn) / TWO_POW_32) * 1000;
}

/** The middle 32 bits of an NTP time, as receiver reports quote it. */
export function ntpMiddle(ntp: bigint): number {
  return Number((ntp >> 16n) & 0xffffffffn);
}
