/** Small makers of packets for the RTP tests. */
import type {
  ReleasedPacket,
  VideoPacket,
} from "../../../../server/engine/process/rtp/jitter-buffer.ts";

export function packet(sequence: number, over: Partial<VideoPacket> = {}): VideoPacket {
  return {
    sequence,
    timestamp: 1000,
    marker: false,
    payload: Buffer.from([1]),
    arrivalMs: 0,
    captureMs: null,
    ...over,
  };
}

/** A whole frame as packets: one for each payload, the marker on the last. */
export function framePackets(
  payloads: readonly Buffer[],
  firstSequence: number,
  timestamp: number,
): VideoPacket[] {
  return payloads.map((payload, index) =>
    packet((firstSequence + index) & 0xffff, {
      payload,
      timestamp,
      marker: index === payloads.length - 1,
    }),
  );
}

export function released(packets: VideoPacket[], afterGap = false): ReleasedPacket[] {
  return packets.map((p, index) => ({ packet: p, afterGap: afterGap && index === 0 }));
}

/** Bytes that look like a VP8 frame: the frame tag's lowest bit is 0 for a key frame. */
export function vp8Frame(bytes: number, keyFrame: boolean, fill = 0x5a): Buffer {
  const frame = Buffer.alloc(bytes, fill);
  frame[0] = keyFrame ? 0x10 : 0x11;
  return frame;
}

/** An H.264 NAL unit of the given type, without emulated start codes. */
export function nal(type: number, bytes: number): Buffer {
  const unit = Buffer.alloc(bytes, 0xa5);
  unit[0] = 0x60 | type;
  return unit;
}

export function annexB(...units: Buffer[]): Buffer {
  const startCode = Buffer.from([0, 0, 0, 1]);
  return Buffer.concat(units.flatMap((unit) => [startCode, unit]));
}
