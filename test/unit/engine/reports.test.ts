import { expect } from "chai";
import {
  type GenericNack,
  RtcpReceiverInfo,
  RtcpRrPacket,
  type RtcpSourceDescriptionPacket,
  type RtcpSrPacket,
  type RtcpTransportLayerFeedback,
} from "werift-rtp";
import { BitrateController } from "../../../server/engine/process/rtp/bitrate-controller.ts";
import { ntpToUnixMs, unixMsToNtp } from "../../../server/engine/process/rtp/ntp.ts";
import { ReceptionStatistics } from "../../../server/engine/process/rtp/receiver-report.ts";
import { ResendBuffer } from "../../../server/engine/process/rtp/resend-buffer.ts";
import {
  genericNack,
  isRtcpDatagram,
  parseRtcp,
  pictureLossIndication,
  sourceDescription,
} from "../../../server/engine/process/rtp/rtcp.ts";
import {
  rtpTimestampAt,
  SenderReporter,
} from "../../../server/engine/process/rtp/sender-report.ts";

const EPOCH = 1_790_000_000_000;

describe("SenderReporter", () => {
  it("is silent before the first packet, quick at the start and then steady", () => {
    const reporter = new SenderReporter(1, 0);
    expect(reporter.due(0, EPOCH, EPOCH, [])).to.equal(null);
    reporter.onPacketSent(100, 0);
    let early = 0;
    let late = 0;
    for (let at = 0; at < 15_000; at += 20) {
      const due = reporter.due(at, EPOCH + at, EPOCH + at, []) !== null;
      early += due && at < 5000 ? 1 : 0;
      late += due && at >= 5000 ? 1 : 0;
    }
    expect(early).to.be.within(18, 21);
    expect(late).to.be.within(9, 11);
  });

  it("ties the wall clock to the timestamps that frames of that moment get", () => {
    const offset = 0xfffffff0;
    const reporter = new SenderReporter(1, offset);
    reporter.onPacketSent(100, 0);
    const info = reporter.due(0, EPOCH, EPOCH, [])?.senderInfo;
    expect(ntpToUnixMs(info?.ntpTimestamp ?? 0n)).to.be.closeTo(EPOCH, 0.01);
    expect(info?.rtpTimestamp).to.equal(rtpTimestampAt(EPOCH, offset));
    expect(info?.packetCount).to.equal(1);
    expect(info?.octetCount).to.equal(100);
  });

  it("speaks of the SFU's clock where that is another", () => {
    const reporter = new SenderReporter(1, 5);
    reporter.onPacketSent(1, 0);
    const info = reporter.due(0, EPOCH, EPOCH + 3_600_000, [])?.senderInfo;
    expect(ntpToUnixMs(info?.ntpTimestamp ?? 0n)).to.be.closeTo(EPOCH + 3_600_000, 0.01);
    expect(info?.rtpTimestamp).to.equal(rtpTimestampAt(EPOCH, 5));
  });
});

describe("ReceptionStatistics", () => {
  it("reports nothing before the first packet", () => {
    expect(new ReceptionStatistics(9).report(0)).to.equal(null);
  });

  it("counts losses in total and since the last report, across a wrap", () => {
    const statistics = new ReceptionStatistics(9);
    for (const sequence of [65_533, 65_534, 65_535, 0, 3, 4, 5, 6]) {
      statistics.onPacket(sequence, 0, 0);
    }
    const first = statistics.report(0);
    expect(first?.packetsLost).to.equal(2);
    expect(first?.fractionLost).to.equal(Math.floor((2 * 256) / 10));
    expect(first?.highestSequence).to.equal(65_536 + 6);
    statistics.onPacket(7, 0, 0);
    expect(statistics.report(0)?.fractionLost).to.equal(0);
  });

  it("does not go below zero on duplicates", () => {
    const statistics = new ReceptionStatistics(9);
    for (const sequence of [1, 1, 1, 2]) {
      statistics.onPacket(sequence, 0, 0);
    }
    expect(statistics.report(0)?.packetsLost).to.equal(0);
  });

  it("quotes the last sender report and its age", () => {
    const statistics = new ReceptionStatistics(9);
    statistics.onPacket(1, 0, 0);
    statistics.onSenderReport(unixMsToNtp(EPOCH), 100);
    const block = statistics.report(600);
    expect(block?.dlsr).to.equal(32_768);
    expect(block?.lsr).to.equal(Number((unixMsToNtp(EPOCH) >> 16n) & 0xffffffffn));
  });
});

describe("RTCP", () => {
  it("cuts compounds apart before parsing", () => {
    const compound = Buffer.concat([
      new RtcpRrPacket({ ssrc: 1, reports: [new RtcpReceiverInfo({ ssrc: 2 })] }).serialize(),
      genericNack(1, 2, [65_535, 65_536, 65_540]),
      sourceDescription(1, "a name"),
      pictureLossIndication(1, 2),
    ]);
    const [report, nack, description, loss] = parseRtcp(compound);
    expect(report).to.be.instanceOf(RtcpRrPacket);
    const feedback = (nack as RtcpTransportLayerFeedback).feedback as GenericNack;
    expect(feedback.lost).to.deep.equal([65_535, 0, 4]);
    const sdes = description as RtcpSourceDescriptionPacket;
    expect(sdes.chunks[0]?.items[0]?.text).to.equal("a name");
    expect(loss?.type).to.equal(206);
  });

  it("throws on a length that leads past the end", () => {
    const bytes = pictureLossIndication(1, 2);
    expect(() => parseRtcp(bytes.subarray(0, 8))).to.throw("expected 12 bytes of RTCP, received 8");
  });

  it("is told from RTP by its type", () => {
    expect(isRtcpDatagram(pictureLossIndication(1, 2))).to.equal(true);
    expect(isRtcpDatagram(Buffer.from([0x80, 0xe5]))).to.equal(false);
    expect(isRtcpDatagram(Buffer.from([0x80, 101]))).to.equal(false);
    expect(isRtcpDatagram(Buffer.alloc(0))).to.equal(false);
  });

  it("writes sender reports that parse", () => {
    const reporter = new SenderReporter(77, 0);
    reporter.onPacketSent(1, 0);
    const [parsed] = parseRtcp(reporter.due(0, EPOCH, EPOCH, [])?.serialize() ?? Buffer.alloc(0));
    expect((parsed as RtcpSrPacket).ssrc).to.equal(77);
  });
});

describe("ResendBuffer", () => {
  it("gives back what it holds, neither too soon again nor too late", () => {
    const buffer = new ResendBuffer({ capacity: 4, maxAgeMs: 1000, minIntervalMs: 30 });
    const bytes = Buffer.from([1]);
    buffer.add(65_535, bytes, 0);
    expect(buffer.take(65_535, 10)).to.equal(null);
    expect(buffer.take(65_535, 40)).to.equal(bytes);
    expect(buffer.take(65_535, 60)).to.equal(null);
    expect(buffer.take(65_535, 80)).to.equal(bytes);
    expect(buffer.take(65_535, 1001)).to.equal(null);
    expect(buffer.take(3, 40)).to.equal(null);
  });
});

describe("BitrateController", () => {
  it("gives way on loss, climbs back, and stays within its bounds", () => {
    const controller = new BitrateController({ maxBps: 800_000, minBps: 300_000 });
    expect(controller.onLoss(0.5, 0)).to.equal(680_000);
    expect(controller.onLoss(0.5, 500)).to.equal(null);
    let nowMs = 1000;
    for (; nowMs < 20_000; nowMs += 1000) {
      controller.onLoss(0.5, nowMs);
    }
    expect(controller.targetBps).to.equal(300_000);
    for (; nowMs < 80_000; nowMs += 1000) {
      controller.onLoss(0, nowMs);
    }
    expect(controller.targetBps).to.equal(800_000);
    expect(controller.onLoss(0.05, nowMs)).to.equal(null);
  });

  it("obeys an estimate", () => {
    const controller = new BitrateController({ maxBps: 800_000 });
    expect(controller.onEstimate(500_000, 0)).to.equal(500_000);
    expect(controller.onLoss(0, 2000)).to.equal(null);
    expect(controller.onEstimate(2_000_000, 3000)).to.equal(null);
    expect(controller.onLoss(0, 4000)).to.equal(525_000);
    expect(controller.setMax(200_000)).to.equal(200_000);
  });
});
