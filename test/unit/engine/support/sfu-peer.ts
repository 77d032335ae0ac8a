/** The SFU's end of a session as a plain UDP socket: sends a camera's packets, keeps what comes. */

import type { Socket } from "node:dgram";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import type { RtcpPacket } from "werift-rtp";
import { RtcpSenderInfo, RtcpSrPacket, RtpHeader, RtpPacket } from "werift-rtp";
import { unixMsToNtp } from "../../../../server/engine/process/rtp/ntp.ts";
import { isRtcpDatagram, parseRtcp } from "../../../../server/engine/process/rtp/rtcp.ts";
import { packetizeVp8 } from "../../../../server/engine/process/rtp/vp8-packetizer.ts";
import type { OpenSession } from "../../../../server/engine/protocol.ts";
import { vp8Frame } from "./packets.ts";

export const CAMERA_SSRC = 1111;
export const OUTPUT_SSRC = 2222;
export const PAYLOAD_TYPE = 101;

export class SfuPeer {
  readonly rtp: RtpPacket[] = [];
  readonly rtcp: RtcpPacket[] = [];
  readonly #socket: Socket;
  #enginePort = 0;
  #sequence = 65_530;
  #pictureId = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (datagram) => {
      if (isRtcpDatagram(datagram)) {
        this.rtcp.push(...parseRtcp(datagram));
      } else {
        this.rtp.push(RtpPacket.deSerialize(datagram));
      }
    });
  }

  static async create(): Promise<SfuPeer> {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    return new SfuPeer(socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** Where the engine listens. */
  connect(enginePort: number): void {
    this.#enginePort = enginePort;
  }

  openMessage(sessionId: string, over: Partial<OpenSession> = {}): OpenSession {
    return {
      type: "openSession",
      sessionId,
      transport: { ip: "127.0.0.1", port: this.port },
      localIp: "127.0.0.1",
      localPort: 0,
      input: {
        ssrc: CAMERA_SSRC,
        payloadType: PAYLOAD_TYPE,
        codec: "vp8",
        absCaptureTimeId: 10,
      },
      output: {
        ssrc: OUTPUT_SSRC,
        payloadType: PAYLOAD_TYPE,
        codec: "vp8",
        cname: "camera",
        sequenceStart: 65_535,
        pictureIdStart: 0x7fff,
        timestampOffset: 12_345,
        absCaptureTimeId: 10,
        low: null,
      },
      bitrateBps: 500_000,
      maxFps: 30,
      delayBudgetMs: 250,
      revision: 1,
      transform: { mode: "restyle", prompt: "echo", strength: 0.8, steps: 1, seed: 0 },
      ...over,
    };
  }

  send(datagram: Buffer): void {
    this.#socket.send(datagram, this.#enginePort, "127.0.0.1");
  }

  sendSenderReport(unixMs: number, rtpTimestamp: number): void {
    const senderInfo = new RtcpSenderInfo({
      ntpTimestamp: unixMsToNtp(unixMs),
      rtpTimestamp,
      packetCount: 1,
      octetCount: 1,
    });
    this.send(new RtcpSrPacket({ ssrc: CAMERA_SSRC, senderInfo, reports: [] }).serialize());
  }

  /** Sends a VP8-like frame. `skip` leaves out the packets with these indices. */
  sendFrame(
    timestamp: number,
    {
      bytes = 2500,
      keyFrame = false,
      ssrc = CAMERA_SSRC,
      payloadType = PAYLOAD_TYPE,
      skip = [] as number[],
      fill = 0x5a,
    } = {},
  ): void {
    const payloads = packetizeVp8(vp8Frame(bytes, keyFrame, fill), this.#pictureId);
    this.#pictureId = (this.#pictureId + 1) & 0x7fff;
    payloads.forEach((payload, index) => {
      const header = new RtpHeader({
        payloadType,
        ssrc,
        timestamp,
        sequenceNumber: this.#sequence,
        marker: index === payloads.length - 1,
      });
      this.#sequence = (this.#sequence + 1) & 0xffff;
      if (!skip.includes(index)) {
        this.send(new RtpPacket(header, payload).serialize());
      }
    });
  }

  /**
   * Sends frames of 25 a second until told to stop. The first one is a key frame; with `everyKeyFrame`
   * all are, as if each restart of the engine had asked for one.
   * @param fill what frames are made of
   */
  startCamera({ everyKeyFrame = false, fill = (): number => 0x5a } = {}): () => void {
    let first = true;
    const timer = setInterval(() => {
      const keyFrame = first || everyKeyFrame;
      const timestamp = (Math.round(Date.now() * 90) & 0x7fffffff) >>> 0;
      this.sendFrame(timestamp, { keyFrame, fill: fill() });
      first = false;
    }, 40);
    return () => clearInterval(timer);
  }

  close(): void {
    this.#socket.close();
  }
}
