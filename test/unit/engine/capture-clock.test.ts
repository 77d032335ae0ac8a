import { expect } from "chai";
import {
  readAbsCaptureTime,
  writeAbsCaptureTime,
} from "../../../server/engine/process/rtp/abs-capture-time.ts";
import { CaptureClock } from "../../../server/engine/process/rtp/capture-clock.ts";
import { ntpMiddle, ntpToUnixMs, unixMsToNtp } from "../../../server/engine/process/rtp/ntp.ts";

const EPOCH = 1_790_000_000_000;
const RTP_BASE = 0xffff0000; // The timestamps wrap after 0.7 s.

/** RTP timestamp of a camera whose clock starts at RTP_BASE, `ms` after EPOCH. */
const rtpAt = (ms: number): number => (RTP_BASE + ms * 90) % 2 ** 32;

/** Feeds frames of 25 fps captured from `fromMs` on, each arriving `delayMs` later. */
function run(clock: CaptureClock, fromMs: number, frames: number, delayMs = 30) {
  return Array.from({ length: frames }, (_, index) => {
    const ms = fromMs + index * 40;
    const time = clock.frame(rtpAt(ms), EPOCH + ms + delayMs, null);
    return { errorMs: time.captureTimeMs - (EPOCH + ms), ...time };
  });
}

describe("NTP and abs-capture-time", () => {
  it("converts both ways", () => {
    for (const ms of [0, EPOCH, EPOCH + 0.25, EPOCH + 999.9]) {
      expect(ntpToUnixMs(unixMsToNtp(ms))).to.be.closeTo(ms, 0.001);
    }
    expect(ntpMiddle(0x0123456789abcdefn)).to.equal(0x456789ab);
  });

  it("writes what it reads, and applies the offset of the capturing clock", () => {
    const payload = writeAbsCaptureTime(EPOCH + 12.5);
    expect(readAbsCaptureTime(payload)).to.be.closeTo(EPOCH + 12.5, 0.001);
    expect(readAbsCaptureTime(payload.subarray(0, 8))).to.be.closeTo(EPOCH + 12.5, 0.001);
    payload.writeBigInt64BE(-(2n ** 31n), 8);
    expect(readAbsCaptureTime(payload)).to.be.closeTo(EPOCH + 12.5 - 500, 0.001);
    expect(readAbsCaptureTime(payload.subarray(0, 7))).to.equal(null);
  });
});

describe("CaptureClock", () => {
  it("estimates by arrival before the first report and says so", () => {
    const times = run(new CaptureClock(), 0, 50);
    expect(times.every((t) => t.source === "arrival")).to.equal(true);
    expect(times[49]?.errorMs).to.be.closeTo(30, 0.01);
  });

  it("takes capture times from a report, across the wrap of the timestamps", () => {
    const clock = new CaptureClock();
    clock.onSenderReport(EPOCH - 20, rtpAt(-20));
    const times = run(clock, 0, 100);
    expect(times.every((t) => t.source === "senderReport")).to.equal(true);
    expect(Math.max(...times.map((t) => Math.abs(t.errorMs)))).to.be.below(0.01);
  });

  it("slews to a report that comes later, forward in time and without a leap", () => {
    const clock = new CaptureClock();
    const before = run(clock, 0, 20, 80);
    clock.onSenderReport(EPOCH + 790, rtpAt(790));
    const after = run(clock, 800, 60, 80);
    const all = [...before, ...after].map((t) => t.captureTimeMs);
    const steps = all.slice(1).map((time, index) => time - (all[index] ?? 0));
    expect(Math.min(...steps)).to.be.at.least(35.9);
    expect(after[59]?.errorMs).to.be.closeTo(0, 0.01);
    expect(after[59]?.source).to.equal("senderReport");
  });

  it("prefers abs-capture-time where it agrees with the report", () => {
    const clock = new CaptureClock();
    clock.onSenderReport(EPOCH, rtpAt(0));
    const first = clock.frame(rtpAt(0), EPOCH + 30, EPOCH - 8);
    const second = clock.frame(rtpAt(40), EPOCH + 70, null);
    expect(first).to.deep.equal({ captureTimeMs: EPOCH - 8, source: "absCaptureTime" });
    expect(second.captureTimeMs).to.be.closeTo(EPOCH + 32, 0.01);
    expect(second.source).to.equal("absCaptureTime");
  });

  it("puts an abs-capture-time aside that the report contradicts", () => {
    const clock = new CaptureClock();
    clock.onSenderReport(EPOCH, rtpAt(0));
    const { captureTimeMs, source } = clock.frame(rtpAt(0), EPOCH + 30, EPOCH - 3_600_000);
    expect(source).to.equal("senderReport");
    expect(captureTimeMs).to.be.closeTo(EPOCH, 0.01);
    expect(clock.disagreements).to.equal(1);
  });

  it("survives an RTP clock that starts anew, never going backward", () => {
    const clock = new CaptureClock();
    clock.onSenderReport(EPOCH, rtpAt(0));
    run(clock, 0, 10);
    const restarted = clock.frame(2_000_000_000, EPOCH + 430, null);
    expect(restarted.source).to.equal("arrival");
    expect(restarted.captureTimeMs).to.be.closeTo(EPOCH + 430, 0.01);
    const next = clock.frame(2_000_000_000 + 3600, EPOCH + 470, null);
    expect(next.captureTimeMs).to.be.above(restarted.captureTimeMs);
  });

  it("never hands out the same time twice", () => {
    const clock = new CaptureClock();
    const first = clock.frame(1000, EPOCH, null).captureTimeMs;
    expect(clock.frame(1000, EPOCH, null).captureTimeMs).to.be.above(first);
  });
});
