import { randomInt } from "node:crypto";
import {
  isRtcp,
  PictureLossIndication,
  RtcpPacketConverter,
  RtcpPayloadSpecificFeedback,
  RtcpSenderInfo,
  RtcpSrPacket,
  RtpHeader,
  RtpPacket,
} from "werift-rtp";
import {
  ABS_CAPTURE_TIME_URI,
  writeAbsCaptureTime,
} from "../server/engine/process/rtp/abs-capture-time.ts";
import { unixMsToNtp } from "../server/engine/process/rtp/ntp.ts";
import { packetizeVp8 } from "../server/engine/process/rtp/vp8-packetizer.ts";
import type { LoadClip } from "./clip.ts";
import { Peer, type PeerOptions } from "./peer.ts";
import type { SignalingSession } from "./signaling.ts";

const VP8 = { payloadType: 101, clockHz: 90_000 };
const OPUS = { payloadType: 100, clockHz: 48_000, packetMs: 20 };
const CAPTURE_TIME_EXTENSION = { uri: ABS_CAPTURE_TIME_URI, id: 10 };
const CAPTURE_TIME_EVERY_MS = 1000;
const REPORT_EVERY_MS = 300;

/** RTP state of one outgoing stream; timestamps follow the capture time. */
class OutgoingStream {
  readonly ssrc = randomInt(1, 0xffffffff);
  readonly #payloadType: number;
  readonly #clockHz: number;
  readonly #timestampOffset = randomInt(0xffffffff);
  #sequenceNumber = randomInt(0x8000);
  #packets = 0;
  #octets = 0;
  #captureTimeSentAtMs = Number.NEGATIVE_INFINITY;

  constructor(format: { payloadType: number; clockHz: number }) {
    this.#payloadType = format.payloadType;
    this.#clockHz = format.clockHz;
  }

  #timestampAt(unixMs: number): number {
    // Modulo before the shift: RTP timestamps wrap at 32 bits (RFC 3550, section 5.1).
    return (Math.round((unixMs * this.#clockHz) / 1000) + this.#timestampOffset) % 2 ** 32;
  }

  packet(payload: Buffer, captureMs: number, marker: boolean, firstOfFrame: boolean): Buffer {
    const header = new RtpHeader({
      payloadType: this.#payloadType,
      sequenceNumber: this.#sequenceNumber,
      timestamp: this.#timestampAt(captureMs),
      ssrc: this.ssrc,
      marker,
    });
    if (firstOfFrame && captureMs - this.#captureTimeSentAtMs >= CAPTURE_TIME_EVERY_MS) {
      header.extension = true;
      header.extensions = [
        { id: CAPTURE_TIME_EXTENSION.id, payload: writeAbsCaptureTime(captureMs) },
      ];
      this.#captureTimeSentAtMs = captureMs;
    }
    this.#sequenceNumber = (this.#sequenceNumber + 1) & 0xffff;
    this.#packets += 1;
    this.#octets += payload.length;
    return new RtpPacket(header, payload).serialize();
  }

  senderReport(nowMs: number): Buffer {
    return new RtcpSrPacket({
      ssrc: this.ssrc,
      senderInfo: new RtcpSenderInfo({
        ntpTimestamp: unixMsToNtp(nowMs),
        rtpTimestamp: this.#timestampAt(nowMs),
        packetCount: this.#packets >>> 0,
        octetCount: this.#octets >>> 0,
      }),
    }).serialize();
  }
}

/** A participant that sends the clip as camera and microphone, and may ask for a transform. */
export class Publisher {
  readonly joinMs: number;
  readonly participantId: string;
  readonly #session: SignalingSession;
  readonly #peer: Peer;
  readonly #clip: LoadClip;
  readonly #nowMs: () => number;
  readonly #video = new OutgoingStream(VP8);
  readonly #audio = new OutgoingStream(OPUS);
  readonly #timers: NodeJS.Timeout[] = [];
  #nextFrame = 0;
  #startedAtMs = 0;
  #sentFrames = 0;
  #sentAudio = 0;
  /** Key-frame requests from the server. */
  keyFrameRequests = 0;

  private constructor(
    session: SignalingSession,
    peer: Peer,
    clip: LoadClip,
    joined: { participantId: string; joinMs: number },
    nowMs: () => number,
  ) {
    this.#session = session;
    this.#peer = peer;
    this.#clip = clip;
    this.#nowMs = nowMs;
    this.participantId = joined.participantId;
    this.joinMs = joined.joinMs;
    peer.on("packet", (packet) => this.#onPacket(packet));
  }

  /** Joins the room, connects and starts to send. */
  static async join(
    session: SignalingSession,
    roomId: string,
    name: string,
    clip: LoadClip,
    nowMs: () => number,
  ): Promise<Publisher> {
    const startedAtMs = nowMs();
    const { participantId } = await session.request("join", { roomId, name });
    return Publisher.attach(session, participantId, name, clip, nowMs, startedAtMs);
  }

  /** Publishes for somebody who has joined, for the first time or after the media was lost. */
  static async attach(
    session: SignalingSession,
    participantId: string,
    name: string,
    clip: LoadClip,
    nowMs: () => number,
    startedAtMs = nowMs(),
    options: PeerOptions = {},
  ): Promise<Publisher> {
    const peer = await Peer.connect(session, "send", name, options);
    const joined = { participantId, joinMs: nowMs() - startedAtMs };
    const publisher = new Publisher(session, peer, clip, joined, nowMs);
    try {
      await publisher.#produce(name);
    } catch (error) {
      publisher.closeMedia();
      throw error;
    }
    publisher.#start();
    return publisher;
  }

  /** @returns the revision of the settings, as the server counts them */
  async setTransform(prompt: string, steps: number, seed: number): Promise<number> {
    const settings = { mode: "restyle" as const, prompt, strength: 0.8, steps, seed };
    return (await this.#session.request("transform:set", settings)).revision;
  }

  get open(): boolean {
    return this.#peer.open;
  }

  /** Ends what is sent; the place in the room stays. */
  closeMedia(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#peer.close();
  }

  close(): void {
    this.#session.close();
    this.closeMedia();
  }

  async #produce(name: string): Promise<void> {
    const common = {
      headerExtensions: [{ ...CAPTURE_TIME_EXTENSION, encrypt: false, parameters: {} }],
      rtcp: { cname: name, reducedSize: true },
      msid: `${name} -`,
    };
    await this.#session.request("produce", {
      transportId: this.#peer.id,
      kind: "audio",
      source: "microphone",
      rtpParameters: {
        ...common,
        codecs: [
          {
            mimeType: "audio/opus",
            payloadType: OPUS.payloadType,
            clockRate: OPUS.clockHz,
            channels: 2,
            parameters: {},
            rtcpFeedback: [],
          },
        ],
        encodings: [{ ssrc: this.#audio.ssrc }],
      },
    });
    await this.#session.request("produce", {
      transportId: this.#peer.id,
      kind: "video",
      source: "camera",
      rtpParameters: {
        ...common,
        codecs: [
          {
            mimeType: "video/VP8",
            payloadType: VP8.payloadType,
            clockRate: VP8.clockHz,
            parameters: {},
            rtcpFeedback: [{ type: "nack", parameter: "pli" }],
          },
        ],
        encodings: [{ ssrc: this.#video.ssrc }],
      },
    });
  }

  #start(): void {
    this.#startedAtMs = this.#nowMs();
    // One timer for both media; each tick sends what is due, so a late tick loses nothing.
    this.#timers.push(setInterval(() => this.#sendDue(), 10));
    this.#timers.push(setInterval(() => this.#sendReports(), REPORT_EVERY_MS));
    this.#sendReports();
  }

  #sendDue(): void {
    const elapsedMs = this.#nowMs() - this.#startedAtMs;
    const frameMs = 1000 / this.#clip.videoFps;
    while (this.#sentFrames * frameMs <= elapsedMs) {
      this.#sendFrame(this.#startedAtMs + this.#sentFrames * frameMs);
      this.#sentFrames += 1;
    }
    while (this.#sentAudio * OPUS.packetMs <= elapsedMs) {
      const packet = this.#clip.audio[this.#sentAudio % this.#clip.audio.length];
      const captureMs = this.#startedAtMs + this.#sentAudio * OPUS.packetMs;
      if (packet) this.#peer.send(this.#audio.packet(packet, captureMs, false, true));
      this.#sentAudio += 1;
    }
  }

  #sendFrame(captureMs: number): void {
    const frame = this.#clip.video[this.#nextFrame % this.#clip.video.length];
    this.#nextFrame += 1;
    if (!frame) return;
    const payloads = packetizeVp8(frame.data, this.#sentFrames & 0x7fff);
    payloads.forEach((payload, i) => {
      const last = i === payloads.length - 1;
      this.#peer.send(this.#video.packet(payload, captureMs, last, i === 0));
    });
  }

  #sendReports(): void {
    this.#peer.send(this.#video.senderReport(this.#nowMs()));
    this.#peer.send(this.#audio.senderReport(this.#nowMs()));
  }

  #onPacket(packet: Buffer): void {
    if (!isRtcp(packet)) return;
    for (const report of RtcpPacketConverter.deSerialize(packet)) {
      if (!(report instanceof RtcpPayloadSpecificFeedback)) continue;
      if (!(report.feedback instanceof PictureLossIndication)) continue;
      this.keyFrameRequests += 1;
      this.#skipToKeyFrame();
    }
  }

  /** The clip is encoded beforehand: a request is answered by its next key frame. */
  #skipToKeyFrame(): void {
    const { video } = this.#clip;
    for (let i = 0; i < video.length; i += 1) {
      const at = (this.#nextFrame + i) % video.length;
      if (video[at]?.keyFrame) {
        this.#nextFrame = at;
        return;
      }
    }
  }
}
