/**
 * The camera's track on its way in: from RTP packets to decodable frames with capture times, and
 * the RTCP that goes back (receiver reports, NACK, PLI).
 */

import type { RtcpReceiverInfo, RtcpSrPacket, RtpPacket } from "werift-rtp";
import { RtcpRrPacket } from "werift-rtp";
import type { Moment } from "../clock.ts";
import { readAbsCaptureTime } from "./abs-capture-time.ts";
import { CaptureClock, type CaptureSource } from "./capture-clock.ts";
import { createDepacketizer, type Depacketizer, type InputCodec } from "./depacketize.ts";
import { FrameAssembler } from "./frame-assembler.ts";
import { JitterBuffer } from "./jitter-buffer.ts";
import { KeyFrameRequester } from "./key-frame-requester.ts";
import { NackGenerator } from "./nack-generator.ts";
import { ntpToUnixMs } from "./ntp.ts";
import { ReceptionStatistics } from "./receiver-report.ts";
import { genericNack, pictureLossIndication } from "./rtcp.ts";
import type { ClockConverter } from "./wall-clock.ts";

export interface InputFrame {
  data: Buffer;
  keyFrame: boolean;
  /** On the monotonic clock; grows from frame to frame and is never after the arrival. */
  captureMonoMs: number;
  captureSource: CaptureSource;
}

export interface InputStreamOptions {
  ssrc: number;
  codec: InputCodec;
  absCaptureTimeId: number | null;
  /** The SFU's clock, learned here from its sender reports. */
  sfuClock: ClockConverter;
  /** SSRC that our RTCP speaks as. */
  localSsrc: number;
  sendRtcp: (packet: Buffer) => void;
  onFrame: (frame: InputFrame) => void;
  onDrop: (reason: string) => void;
}

export class InputStream {
  readonly #options: InputStreamOptions;
  readonly #jitterBuffer = new JitterBuffer();
  readonly #nackGenerator = new NackGenerator();
  readonly #keyFrames = new KeyFrameRequester();
  readonly #depacketizer: Depacketizer;
  readonly #assembler: FrameAssembler;
  readonly #captureClock = new CaptureClock();
  readonly #statistics: ReceptionStatistics;
  #hasPackets = false;

  constructor(options: InputStreamOptions) {
    this.#options = options;
    this.#depacketizer = createDepacketizer(options.codec);
    this.#assembler = new FrameAssembler({
      depacketizer: this.#depacketizer,
      onDrop: options.onDrop,
    });
    this.#statistics = new ReceptionStatistics(options.ssrc);
  }

  /** Packets lost on the way in, for progress reports. */
  get packetsLost(): number {
    return this.#statistics.lost;
  }

  /** How long a missing packet is waited for at the moment. */
  jitterWaitMs(now: Moment): number {
    return this.#jitterBuffer.waitMs(now.monoMs);
  }

  /** How often a clock leapt: the sender's or the SFU's. */
  get clockSteps(): number {
    return this.#captureClock.steps + this.#options.sfuClock.steps;
  }

  /**
   * The round trip between the SFU and the camera, where the server knows it. Without it the wait for
   * missing packets follows the repairs that are seen.
   */
  setRoundTrip(roundTripMs: number): void {
    this.#jitterBuffer.setRoundTrip(roundTripMs);
  }

  /** A packet of this stream (SSRC and payload type are checked by the caller). */
  onRtp(packet: RtpPacket, now: Moment): void {
    const { header } = packet;
    this.#hasPackets = true;
    this.#statistics.onPacket(header.sequenceNumber, header.timestamp, now.monoMs);
    const result = this.#jitterBuffer.insert(
      {
        sequence: header.sequenceNumber,
        timestamp: header.timestamp,
        marker: header.marker,
        payload: packet.payload,
        arrivalMs: now.monoMs,
        captureMs: this.#absCaptureMs(packet),
        startsKeyFrame:
          this.#jitterBuffer.hasGap && this.#depacketizer.startsKeyFrame(packet.payload),
      },
      now.monoMs,
    );
    if (result !== "accepted") {
      this.#options.onDrop(`${result}Packet`);
    }
    this.#release(now);
  }

  onSenderReport(report: RtcpSrPacket, now: Moment): void {
    const { ntpTimestamp, rtpTimestamp } = report.senderInfo;
    this.#statistics.onSenderReport(ntpTimestamp, now.monoMs);
    if (ntpTimestamp === 0n) {
      return; // RFC 3550: a sender without a wall clock.
    }
    const { sfuClock } = this.#options;
    const ntpMs = ntpToUnixMs(ntpTimestamp);
    sfuClock.observe(ntpMs, now.monoMs);
    this.#captureClock.onSenderReport(sfuClock.toMonoMs(ntpMs), rtpTimestamp);
  }

  /** A key frame is wanted, for instance by the decoder. */
  requestKeyFrame(reason: string): void {
    this.#keyFrames.request(reason);
  }

  /** Gives up old gaps, asks for what is missing. Called every few tens of milliseconds. */
  tick(now: Moment): void {
    this.#release(now);
    const { localSsrc, ssrc, sendRtcp } = this.#options;
    const { sequences, hopeless } = this.#nackGenerator.due(
      this.#jitterBuffer.missing(),
      now.monoMs,
      this.#jitterBuffer.retryMs(now.monoMs),
    );
    if (sequences.length > 0) {
      sendRtcp(genericNack(localSsrc, ssrc, sequences));
    }
    if (hopeless) {
      this.#keyFrames.request("too many packets are missing");
    }
    if (this.#hasPackets && this.#assembler.awaitingKeyFrame) {
      this.#keyFrames.request("nothing to decode from");
    }
    if (this.#keyFrames.due(now.monoMs) !== null) {
      sendRtcp(pictureLossIndication(localSsrc, ssrc));
    }
  }

  /** The block about this stream for the next report; empty before the first packet. */
  reportBlocks(now: Moment): RtcpReceiverInfo[] {
    const block = this.#statistics.report(now.monoMs);
    return block === null ? [] : [block];
  }

  /** A receiver report of its own, for as long as there is no sender report to carry the block. */
  receiverReport(now: Moment): Buffer {
    return new RtcpRrPacket({
      ssrc: this.#options.localSsrc,
      reports: this.reportBlocks(now),
    }).serialize();
  }

  #absCaptureMs(packet: RtpPacket): number | null {
    const id = this.#options.absCaptureTimeId;
    if (id === null) {
      return null;
    }
    const extension = packet.header.extensions.find((candidate) => candidate.id === id);
    const ntpMs = extension === undefined ? null : readAbsCaptureTime(extension.payload);
    return ntpMs === null ? null : this.#options.sfuClock.toMonoMs(ntpMs);
  }

  #release(now: Moment): void {
    const gapsBefore = this.#jitterBuffer.gapsGivenUp;
    for (const released of this.#jitterBuffer.release(now.monoMs)) {
      for (const frame of this.#assembler.push(released)) {
        const { captureTimeMs, source } = this.#captureClock.frame(
          frame.timestamp,
          frame.arrivalMs,
          frame.captureMs,
        );
        if (frame.keyFrame) {
          this.#keyFrames.satisfied();
        }
        this.#options.onFrame({
          data: frame.data,
          keyFrame: frame.keyFrame,
          captureMonoMs: captureTimeMs,
          captureSource: source,
        });
      }
    }
    for (let gaps = gapsBefore; gaps < this.#jitterBuffer.gapsGivenUp; gaps += 1) {
      this.#options.onDrop("gapGivenUp");
    }
  }
}
