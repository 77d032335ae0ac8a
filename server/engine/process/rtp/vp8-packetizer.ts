/** VP8 frames to RTP payloads (RFC 7741), with the 15-bit picture id that receivers order by. */

/** Bytes of a payload behind the descriptor: leaves room for IP, UDP, SRTP and extensions. */
export const MAX_PAYLOAD_BYTES = 1100;
const DESCRIPTOR_BYTES = 4;

/**
 * Payloads of one frame, all but the last nearly equally long.
 * @param pictureId 0 to 32767; grows by one with each frame
 */
export function packetizeVp8(
  frame: Uint8Array,
  pictureId: number,
  maxPayloadBytes = MAX_PAYLOAD_BYTES,
): Buffer[] {
  const parts = Math.max(1, Math.ceil(frame.length / maxPayloadBytes));
  const partBytes = Math.ceil(frame.length / parts);
  const payloads: Buffer[] = [];
  for (let offset = 0; offset < frame.length; offset += partBytes) {
    const part = frame.subarray(offset, offset + partBytes);
    const payload = Buffer.allocUnsafe(DESCRIPTOR_BYTES + part.length);
    payload[0] = 0x80 | (offset === 0 ? 0x10 : 0); // X, and S on the first.
    payload[1] = 0x80; // I: a picture id follows.
    payload[2] = 0x80 | (pictureId >> 8); // M: of 15 bits.
    payload[3] = pictureId & 0xff;
    payload.set(part, DESCRIPTOR_BYTES);
    payloads.push(payload);
  }
  return payloads;
}
