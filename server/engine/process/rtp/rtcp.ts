/** Reading and writing RTCP with werift-rtp, safe against what strangers send. */

import type { RtcpPacket } from "werift-rtp";
import {
  GenericNack,
  PictureLossIndication,
  RtcpPacketConverter,
  RtcpPayloadSpecificFeedback,
  RtcpSourceDescriptionPacket,
  RtcpTransportLayerFeedback,
  SourceDescriptionChunk,
  SourceDescriptionItem,
} from "werift-rtp";

const HEADER_BYTES = 4;
const CNAME_ITEM = 1;

/** Whether a datagram on a multiplexed port is RTCP (RFC 5761). */
export function isRtcpDatagram(datagram: Buffer): boolean {
  const type = datagram[1] ?? 0;
  return type >= 192 && type <= 223;
}

/**
 * The packets of a compound datagram. werift hands each parser everything up to the datagram's
 * end, so that a NACK would swallow its successor: hence they are cut apart here first.
 * @throws Error when a packet's length leads past the end
 */
export function parseRtcp(datagram: Buffer): RtcpPacket[] {
  const packets: RtcpPacket[] = [];
  let offset = 0;
  while (offset + HEADER_BYTES <= datagram.length) {
    const bytes = (datagram.readUInt16BE(offset + 2) + 1) * 4;
    if (offset + bytes > datagram.length) {
      throw new Error(`expected ${bytes} bytes of RTCP, received ${datagram.length - offset}`);
    }
    packets.push(...RtcpPacketConverter.deSerialize(datagram.subarray(offset, offset + bytes)));
    offset += bytes;
  }
  return packets;
}

/** A request for a key frame of `mediaSsrc`. */
export function pictureLossIndication(senderSsrc: number, mediaSsrc: number): Buffer {
  const feedback = new PictureLossIndication({ senderSsrc, mediaSsrc });
  return new RtcpPayloadSpecificFeedback({ feedback }).serialize();
}

/** A request to send packets again. @param lost extended or 16-bit sequence numbers, ascending */
export function genericNack(
  senderSsrc: number,
  mediaSourceSsrc: number,
  lost: readonly number[],
): Buffer {
  const feedback = new GenericNack({
    senderSsrc,
    mediaSourceSsrc,
    lost: lost.map((sequence) => sequence & 0xffff),
  });
  return new RtcpTransportLayerFeedback({ feedback }).serialize();
}

/** SDES with the CNAME: it must accompany each report. */
export function sourceDescription(ssrc: number, cname: string): Buffer {
  return new RtcpSourceDescriptionPacket({
    chunks: [
      new SourceDescriptionChunk({
        source: ssrc,
        items: [new SourceDescriptionItem({ type: CNAME_ITEM, text: cname })],
      }),
    ],
  }).serialize();
}
