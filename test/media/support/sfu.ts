/**
 * A real mediasoup worker with publishers and viewers on plain transports: all that a browser does
 * for the transform's media, without its encryption.
 */

import type { Socket } from "node:dgram";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createWorker, type types as ms } from "mediasoup";
import { RtcpSrPacket, RtpPacket } from "werift-rtp";
import { systemClock } from "../../../server/engine/process/clock.ts";
import type { VideoCodec } from "../../../server/engine/process/native.ts";
import { createDepacketizer } from "../../../server/engine/process/rtp/depacketize.ts";
import { MediaTimeline } from "../../../server/engine/process/rtp/media-timeline.ts";
import { ntpToUnixMs } from "../../../server/engine/process/rtp/ntp.ts";
import { OutputStream } from "../../../server/engine/process/rtp/output-stream.ts";
import {
  isRtcpDatagram,
  parseRtcp,
  pictureLossIndication,
} from "../../../server/engine/process/rtp/rtcp.ts";
import { sequenceDistance } from "../../../server/engine/process/rtp/sequence.ts";
import { ClockConverter } from "../../../server/engine/process/rtp/wall-clock.ts";
import { ROUTER_CODECS } from "../../../server/media/codecs.ts";
import { PlainTransformTap } from "../../../server/media/plain-transform-tap.ts";
import type { TransformTap, TransformTapOptions } from "../../../server/media/transform-tap.ts";
import { CLIP_FPS, type ClipFrame } from "./barcode.ts";

const IP = "127.0.0.1";
const PORTS = { min: 40_500, max: 40_999 };
const LISTEN = { protocol: "udp", ip: IP, portRange: PORTS } as const;
const FEEDBACK = [{ type: "nack" }, { type: "nack", parameter: "pli" }];
/** From the moment a frame is captured until its packets leave the camera. */
const CAMERA_DELAY_MS = 15;

export interface Publisher {
  readonly producer: ms.Producer;
  /** Capture times of the frames sent so far, Unix ms. */
  readonly captureTimes: number[];
  /** Replaces what is sent, from the next frame on. */
  play(clip: readonly ClipFrame[]): void;
  pause(): void;
  stop(): void;
}

export interface ViewedFrame {
  data: Buffer;
  keyFrame: boolean;
  timestamp: number;
  firstSequence: number;
  atMs: number;
}

/** Receives a track and keeps its frames. */
export class Viewer {
  readonly frames: ViewedFrame[] = [];
  /** The newest sender report: Unix ms at an RTP timestamp. */
  report: { unixMs: number; rtp: number } | null = null;
  reports = 0;
  packets = 0;
  readonly #socket: Socket;
  readonly #transport: ms.PlainTransport;
  readonly #consumer: ms.Consumer;
  readonly #codec: VideoCodec;
  #open: RtpPacket[] = [];

  constructor(socket: Socket, transport: ms.PlainTransport, consumer: ms.Consumer) {
    this.#socket = socket;
    this.#transport = transport;
    this.#consumer = consumer;
    const mimeType = consumer.rtpParameters.codecs[0]?.mimeType.toLowerCase();
    this.#codec = mimeType === "video/vp8" ? "vp8" : "h264";
    socket.on("message", (datagram) => this.#onDatagram(datagram));
  }

  get ssrc(): number {
    return this.#consumer.rtpParameters.encodings?.[0]?.ssrc ?? 0;
  }

  /** Capture time of a frame by the newest sender report, Unix ms. */
  captureTimeOf(frame: ViewedFrame): number {
    const { unixMs, rtp } = this.report ?? { unixMs: 0, rtp: 0 };
    return unixMs + ((frame.timestamp - rtp) | 0) / 90;
  }

  async requestKeyFrame(): Promise<void> {
    await this.#consumer.requestKeyFrame();
  }

  /** A PLI of its own, as a browser would send it. */
  sendPli(): void {
    const { localPort } = this.#transport.tuple;
    this.#socket.send(pictureLossIndication(1, this.ssrc), localPort, IP);
  }

  #onDatagram(datagram: Buffer): void {
    if (isRtcpDatagram(datagram)) {
      for (const packet of parseRtcp(datagram)) {
        if (packet instanceof RtcpSrPacket && packet.ssrc === this.ssrc) {
          const { ntpTimestamp, rtpTimestamp } = packet.senderInfo;
          this.report = { unixMs: ntpToUnixMs(ntpTimestamp), rtp: rtpTimestamp };
          this.reports += 1;
        }
      }
      return;
    }
    const packet = RtpPacket.deSerialize(datagram);
    this.packets += 1;
    if (packet.payload.length > 0) {
      this.#open.push(packet);
      if (packet.header.marker) {
        this.#finish(packet.header.timestamp);
      }
    }
  }

  /** At a key frame mediasoup also sends packets that it had kept from before it: they go. */
  #finish(timestamp: number): void {
    const packets = this.#open
      .filter((packet) => packet.header.timestamp === timestamp)
      .sort((a, b) => sequenceDistance(b.header.sequenceNumber, a.header.sequenceNumber));
    this.#open = [];
    const header = packets[0]?.header;
    const frame = createDepacketizer(this.#codec).assemble(packets.map((p) => p.payload));
    if (frame !== null && header !== undefined) {
      const { sequenceNumber: firstSequence } = header;
      this.frames.push({ ...frame, timestamp, firstSequence, atMs: Date.now() });
    }
  }
}

/** One worker with one router. */
export class TestSfu {
  readonly #worker: ms.Worker;
  readonly #router: ms.Router;
  readonly #sockets: Socket[] = [];
  readonly #publishers: Publisher[] = [];

  private constructor(worker: ms.Worker, router: ms.Router) {
    this.#worker = worker;
    this.#router = router;
  }

  static async create(): Promise<TestSfu> {
    const worker = await createWorker({ logLevel: "error" });
    return new TestSfu(worker, await worker.createRouter({ mediaCodecs: ROUTER_CODECS }));
  }

  /** A camera that sends the clip in a loop at its own rate, with honest capture times. */
  async publish(codec: VideoCodec, clip: readonly ClipFrame[]): Promise<Publisher> {
    const socket = await this.#socket();
    const transport = await this.#router.createPlainTransport({ listenInfo: LISTEN });
    await transport.connect({ ip: IP, port: socket.address().port });
    const ssrc = 1 + Math.floor(Math.random() * 2 ** 31);
    const parameters = this.#producerParameters(codec, ssrc);
    const producer = await transport.produce({
      kind: "video",
      rtpParameters: parameters,
    });
    const publisher = startCamera(producer, parameters, clip, (packet) =>
      socket.send(packet, transport.tuple.localPort, IP),
    );
    this.#publishers.push(publisher);
    return publisher;
  }

  /** Watches a producer. */
  async view(producerId: string): Promise<Viewer> {
    const socket = await this.#socket();
    const transport = await this.#router.createPlainTransport({ listenInfo: LISTEN });
    await transport.connect({ ip: IP, port: socket.address().port });
    const rtpCapabilities = this.#router.rtpCapabilities as ms.RtpCapabilities;
    const consumer = await transport.consume({ producerId, rtpCapabilities, paused: true });
    const viewer = new Viewer(socket, transport, consumer);
    await consumer.resume();
    return viewer;
  }

  /** The server's own tap of a camera. */
  async createTap({ originalProducerId, ...options }: TransformTapOptions): Promise<TransformTap> {
    const publisher = this.#publishers.find(({ producer }) => producer.id === originalProducerId);
    if (publisher === undefined) throw new Error(`Expected a camera, got ${originalProducerId}.`);
    const { tap } = await PlainTransformTap.create({
      ...options,
      router: this.#router,
      original: publisher.producer,
      listenIp: IP,
      portRange: PORTS,
      keyFrameRequestDelayMs: 0,
      msid: "camera generated",
    });
    return tap;
  }

  close(): void {
    for (const publisher of this.#publishers) {
      publisher.stop();
    }
    this.#worker.close();
    for (const socket of this.#sockets) {
      socket.close();
    }
  }

  async #socket(): Promise<Socket> {
    const socket = createSocket("udp4");
    socket.bind(0, IP);
    await once(socket, "listening");
    this.#sockets.push(socket);
    return socket;
  }

  #producerParameters(codec: VideoCodec, ssrc: number): ms.RtpParameters {
    const mimeType = codec === "vp8" ? "video/VP8" : "video/H264";
    const { parameters = {} } = ROUTER_CODECS.find((c) => c.mimeType === mimeType) ?? {};
    return {
      codecs: [
        { mimeType, payloadType: 96, clockRate: 90_000, parameters, rtcpFeedback: FEEDBACK },
      ],
      encodings: [{ ssrc }],
      rtcp: { cname: "a camera" },
    };
  }
}

function startCamera(
  producer: ms.Producer,
  { codecs, encodings }: ms.RtpParameters,
  firstClip: readonly ClipFrame[],
  send: (packet: Buffer) => void,
): Publisher {
  const captureTimes: number[] = [];
  const start = systemClock.now();
  const timeline = new MediaTimeline(start);
  const stream = new OutputStream({
    timeline,
    sfuClock: new ClockConverter({ offsetMs: start.unixMs - start.monoMs }),
    ssrc: encodings?.[0]?.ssrc ?? 0,
    payloadType: codecs[0]?.payloadType ?? 0,
    codec: codecs[0]?.mimeType === "video/VP8" ? "vp8" : "h264",
    cname: "a camera",
    sequenceStart: 65_000,
    pictureIdStart: 0,
    timestampOffset: 0x1234567,
    absCaptureTimeId: null,
    bitrateBps: 1_000_000,
    send,
    onKeyFrameRequest: () => undefined,
    onBitrate: () => undefined,
  });
  let clip = firstClip;
  let index = 0;
  let paused = false;
  const timer = setInterval(() => {
    const now = systemClock.now();
    const report = stream.dueReport(now, () => []);
    if (report !== null) {
      send(report);
    }
    const frame = clip[index % clip.length];
    if (paused || frame === undefined) {
      return;
    }
    index += 1;
    const captureMonoMs = now.monoMs - CAMERA_DELAY_MS;
    captureTimes.push(timeline.at(captureMonoMs));
    stream.sendFrame({ ...frame, captureMonoMs }, now);
  }, 1000 / CLIP_FPS);
  return {
    producer,
    captureTimes,
    play(next) {
      clip = next;
      index = 0;
      paused = false;
    },
    pause() {
      paused = true;
    },
    stop: () => clearInterval(timer),
  };
}
