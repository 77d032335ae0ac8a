/**
 * The abs-capture-time header extension
 * (http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time): NTP time of capture, and
 * optionally how far the capturing clock is from the sender's.
 */
import { ntpToUnixMs, unixMsToNtp } from "./ntp.ts";

export const ABS_CAPTURE_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

const TWO_POW_32 = 2 ** 32;

/**
 * Capture time in the sender's clock, Unix ms; null when the payload has neither of the two legal
 * lengths (8 and 16 bytes).
 */
export function readAbsCaptureTime(payload: Buffer): number | null {
  if (payload.length !== 8 && payload.length !== 16) {
    return null;
  }
  const captureMs = ntpToUnixMs(payload.readBigUInt64BE(0));
  if (payload.length === 8) {
    return captureMs;
  }
  // The offset leads from the capturing clock to the sender's: signed 32.32 seconds.
  const offsetMs = (Number(payload.readBigInt64BE(8)) / TWO_POW_32) * 1000;
  return captureMs + offsetMs;
}

/** Payload for a frame whose capture time is already in the sender's own clock (offset 0). */
export function writeAbsCaptureTime(captureUnixMs: number): Buffer {
  const payload = Buffer.alloc(16);
  payload.writeBigUInt64BE(unixMsToNtp(captureUnixMs), 0);
  return payload;
}
