/**
 * The generated track on its way out: from encoded frames to RTP packets on the capture timeline,
 * with truthful sender reports, and answers to the RTCP that comes back for it.
 */

import type { RtcpPacket, RtcpReceiverInfo } from "werift-rtp";
import {
  GenericNack,
  PictureLossIndication,
  ReceiverEstimatedMaxBitrate,
  RtcpPayloadSpecificFeedback,
  RtcpRrPacket,
  RtcpSrPacket,
  RtcpTransportLayerFeedback,
  RtpHeader,
  RtpPacket,
} from "werift-rtp";
import type { Moment } from "../clock.ts";
import type { VideoCodec } from "../native.ts";
import { writeAbsCaptureTime } from "./abs-capture-time.ts";
import { BitrateController } from "./bitrate-controller.ts";
import { packetizeH264 } from "./h264-packetizer.ts";
import { KeyFrameRequester } from "./key-frame-requester.ts";
import type { MediaTimeline } from "./media-timeline.ts";
import { ResendBuffer } from "./resend-buffer.ts";
import { sourceDescription } from "./rtcp.ts";
import { rtpTimestampAt, SenderReporter } from "./sender-report.ts";
import { packetizeVp8 } from "./vp8-packetizer.ts";
import type { ClockConverter } from "./wall-clock.ts";

export interface OutputStreamOptions {
  /** Gives RTP timestamps: the same throughout the track's life. */
  timeline: MediaTimeline;
  /** NTP times are written in the SFU's clock, in which it also forwards the voice's reports. */
  sfuClock: ClockConverter;
  ssrc: number;
  payloadType: number;
  codec: VideoCodec;
  cname: string;
  sequenceStart: number;
  pictureIdStart: number;
  timestampOffset: number;
  absCaptureTimeId: number | null;
  bitrateBps: number;
  send: (packet: Buffer) => void;
  /** A receiver wants a key frame. Wishes are already coalesced. */
  onKeyFrameRequest: () => void;
  onBitrate: (bps: number) => void;
}

export interface OutgoingFrame {
  data: Uint8Array;
  keyFrame: boolean;
  /** Monotonic. */
  captureMonoMs: number;
}

/** abs-capture-time travels on one frame in so much time: receivers interpolate. */
const ABS_CAPTURE_INTERVAL_MS = 1000;

export class OutputStream {
  readonly #options: OutputStreamOptions;
  readonly #reporter: SenderReporter;
  readonly #resend = new ResendBuffer();
  readonly #keyFrames = new KeyFrameRequester();
  readonly #bitrate: BitrateController;
  #nextSequence: number;
  #nextPictureId: number;
  #lastAbsCaptureMs = Number.NEGATIVE_INFINITY;

  constructor(options: OutputStreamOptions) {
    this.#options = options;
    this.#reporter = new SenderReporter(options.ssrc, options.timestampOffset);
    this.#bitrate = new BitrateController({ maxBps: options.bitrateBps });
    this.#nextSequence = options.sequenceStart;
    this.#nextPictureId = options.pictureIdStart;
  }

  get nextSequence(): number {
    return this.#nextSequence;
  }

  get nextPictureId(): number {
    return this.#nextPictureId;
  }

  /**
   * Sends a frame at once.
   * @returns bytes of payload sent
   */
  sendFrame(frame: OutgoingFrame, now: Moment): number {
    const payloads =
      this.#options.codec === "vp8"
        ? packetizeVp8(frame.data, this.#nextPictureId)
        : packetizeH264(frame.data);
    const { timeline, timestampOffset } = this.#options;
    const timestamp = rtpTimestampAt(timeline.at(frame.captureMonoMs), timestampOffset);
    let bytes = 0;
    payloads.forEach((payload, index) => {
      const header = new RtpHeader({
        payloadType: this.#options.payloadType,
        sequenceNumber: this.#nextSequence,
        timestamp,
        ssrc: this.#options.ssrc,
        marker: index === payloads.length - 1,
      });
      if (index === 0) {
        this.#addCaptureTime(header, frame.captureMonoMs, now.monoMs);
      }
      const packet = new RtpPacket(header, payload).serialize();
      this.#options.send(packet);
      this.#resend.add(this.#nextSequence, packet, now.monoMs);
      this.#reporter.onPacketSent(payload.length, now.monoMs);
      this.#nextSequence = (this.#nextSequence + 1) & 0xffff;
      bytes += payload.length;
    });
    this.#nextPictureId = (this.#nextPictureId + 1) & 0x7fff;
    if (frame.keyFrame) {
      this.#keyFrames.satisfied();
    }
    return bytes;
  }

  /** Feedback on this track; packets about other streams are ignored. */
  onRtcp(packet: RtcpPacket, now: Moment): void {
    if (packet instanceof RtcpPayloadSpecificFeedback) {
      this.#onPayloadFeedback(packet.feedback, now);
    } else if (packet instanceof RtcpTransportLayerFeedback) {
      if (packet.feedback instanceof GenericNack) {
        this.#onNack(packet.feedback, now);
      }
    } else if (packet instanceof RtcpRrPacket || packet instanceof RtcpSrPacket) {
      const report = packet.reports.find((block) => block.ssrc === this.#options.ssrc);
      if (report !== undefined) {
        this.#applyBitrate(this.#bitrate.onLoss(report.fractionLost / 256, now.monoMs));
      }
    }
  }

  /** The ceiling changed by configuration. */
  setMaxBitrate(bps: number): void {
    this.#options.onBitrate(this.#bitrate.setMax(bps));
  }

  /** Passes on a pending key frame request; called every few tens of milliseconds. */
  tick(now: Moment): void {
    if (this.#keyFrames.due(now.monoMs) !== null) {
      this.#options.onKeyFrameRequest();
    }
  }

  /**
   * The compound sender report, when one is due.
   * @param blocks asked only then, as reading them closes their interval
   */
  dueReport(now: Moment, blocks: () => RtcpReceiverInfo[]): Buffer | null {
    const { timeline, sfuClock } = this.#options;
    const { monoMs } = now;
    const report = this.#reporter.due(monoMs, timeline.at(monoMs), sfuClock.toWallMs(monoMs), []);
    if (report === null) {
      return null;
    }
    report.reports = blocks();
    return Buffer.concat([
      report.serialize(),
      sourceDescription(this.#options.ssrc, this.#options.cname),
    ]);
  }

  #addCaptureTime(header: RtpHeader, captureMonoMs: number, nowMs: number): void {
    const id = this.#options.absCaptureTimeId;
    if (id === null || nowMs - this.#lastAbsCaptureMs < ABS_CAPTURE_INTERVAL_MS) {
      return;
    }
    this.#lastAbsCaptureMs = nowMs;
    header.extension = true;
    const payload = writeAbsCaptureTime(this.#options.sfuClock.toWallMs(captureMonoMs));
    header.extensions = [{ id, payload }];
  }

  #onPayloadFeedback(feedback: RtcpPayloadSpecificFeedback["feedback"], now: Moment): void {
    const { ssrc } = this.#options;
    if (feedback instanceof PictureLossIndication && feedback.mediaSsrc === ssrc) {
      this.#keyFrames.request("picture loss");
    } else if (feedback instanceof ReceiverEstimatedMaxBitrate) {
      this.#applyBitrate(this.#bitrate.onEstimate(Number(feedback.bitrate), now.monoMs));
    } else if (feedback !== undefined && "fir" in feedback) {
      // RFC 5104: the media source of a full intra request is in its entries.
      if (feedback.fir.some((entry) => entry.ssrc === ssrc)) {
        this.#keyFrames.request("full intra request");
      }
    }
    this.tick(now);
  }

  #onNack(nack: GenericNack, now: Moment): void {
    if (nack.mediaSourceSsrc !== this.#options.ssrc) {
      return;
    }
    for (const sequence of nack.lost) {
      const packet = this.#resend.take(sequence & 0xffff, now.monoMs);
      if (packet !== null) {
        this.#options.send(packet);
      }
    }
  }

  #applyBitrate(target: number | null): void {
    if (target !== null) {
      this.#options.onBitrate(target);
    }
  }
}
