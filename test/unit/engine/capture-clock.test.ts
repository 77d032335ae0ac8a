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

/** A camera of 30 fps on a network of 40 ms; its RTP clock and the reports may be tampered with. */
class Scene {
  readonly clock = new CaptureClock();
  readonly steps: number[] = [];
  nowMs = EPOCH;
  /** Added to the sender's RTP clock. */
  rtpShiftMs = 0;
  #last = Number.NEGATIVE_INFINITY;
  #lastReportMs = Number.NEGATIVE_INFINITY;

  /** Runs for a while. @returns the error of each frame's capture time, positive: said too late */
  run(ms: number, { reports = true, reportShiftMs = null as number | null } = {}): number[] {
    const errors: number[] = [];
    for (const end = this.nowMs + ms; this.nowMs < end; this.nowMs += 1000 / 30) {
      const arrivalMs = this.nowMs + 40;
      if (reports && this.nowMs - this.#lastReportMs >= 1000) {
        this.#lastReportMs = this.nowMs;
        this.clock.onSenderReport(arrivalMs, this.#rtp(40, reportShiftMs ?? this.rtpShiftMs));
      }
      const { captureTimeMs } = this.clock.frame(this.#rtp(), arrivalMs, null);
      expect(captureTimeMs, "after the arrival").to.be.at.most(arrivalMs);
      expect(captureTimeMs, "not after the one before").to.be.above(this.#last);
      this.steps.push(captureTimeMs - this.#last);
      this.#last = captureTimeMs;
      errors.push(captureTimeMs - this.nowMs);
    }
    return errors;
  }

  #rtp(laterMs = 0, shiftMs = this.rtpShiftMs): number {
    const ms = this.nowMs - EPOCH + laterMs + shiftMs;
    return (((RTP_BASE + Math.round(ms * 90)) % 2 ** 32) + 2 ** 32) % 2 ** 32;
  }
}

/** The picture goes on and the truth is told two seconds on. */
function expectRecovered(errors: number[], scene: Scene): void {
  for (const error of errors.slice(60)) {
    expect(error).to.be.within(-100, 100);
  }
  // Frames for a model of 16 fps never stop: capture times keep growing, not crawling.
  const after = scene.steps.slice(-errors.length);
  for (let at = 0; at + 15 < after.length; at += 15) {
    const grown = after.slice(at, at + 15).reduce((sum, step) => sum + step, 0);
    expect(grown, `half a second from frame ${at} on`).to.be.above(125);
  }
}

describe("CaptureClock when clocks leap", () => {
  for (const reports of [true, false]) {
    const how = reports ? "with reports" : "without reports";
    for (const leapMs of [2200, -2200, 60_000, -60_000, 7_200_000]) {
      it(`survives an RTP clock that leaps by ${leapMs} ms, ${how}`, () => {
        const scene = new Scene();
        scene.run(10_000, { reports });
        scene.rtpShiftMs = leapMs;
        const errors = scene.run(10_000, { reports });
        expectRecovered(errors, scene);
        expect(errors.at(-1)).to.be.closeTo(reports ? 0 : 40, 1);
      });
    }

    it(`survives a sender whose clock stands still for 5 s, ${how}`, () => {
      const scene = new Scene();
      scene.run(10_000, { reports });
      scene.nowMs += 5000;
      scene.rtpShiftMs = -5000;
      expectRecovered(scene.run(10_000, { reports }), scene);
      expect(scene.clock.steps).to.be.at.least(1);
    });

    it(`survives a sender that sends on while its clock stands still, ${how}`, () => {
      const scene = new Scene();
      scene.run(10_000, { reports });
      for (let i = 0; i < 150; i += 1) {
        scene.rtpShiftMs -= 1000 / 30;
        scene.run(1, { reports });
      }
      expectRecovered(scene.run(10_000, { reports }), scene);
    });
  }

  it("is not taken back by an SFU that still tells of the former clock", () => {
    const scene = new Scene();
    scene.run(10_000);
    scene.nowMs += 5000;
    scene.rtpShiftMs = -5000;
    const stale = scene.run(1500, { reportShiftMs: 0 });
    expect(Math.max(...stale.map(Math.abs))).to.be.below(100);
    expectRecovered(scene.run(8000), scene);
  });

  it("believes reports of old frames when they insist: the network is that slow", () => {
    const clock = new CaptureClock();
    let error = 0;
    for (let ms = 0; ms < 8000; ms += 40) {
      if (ms % 1000 === 0) {
        clock.onSenderReport(EPOCH + ms + 1500, rtpAt(ms + 1500));
      }
      error = clock.frame(rtpAt(ms), EPOCH + ms + 1500, null).captureTimeMs - (EPOCH + ms);
    }
    expect(error).to.be.closeTo(0, 1);
  });

  it("catches up after a network that stood still for 3 s", () => {
    const scene = new Scene();
    scene.run(5000);
    const before = scene.nowMs;
    // What waited comes within 30 ms.
    let last = 0;
    for (let ms = 0; ms < 3000; ms += 1000 / 30) {
      const rtp = (RTP_BASE + Math.round((before - EPOCH + ms) * 90)) % 2 ** 32;
      const arrivalMs = before + 3040 + ms / 100;
      const { captureTimeMs } = scene.clock.frame(rtp, arrivalMs, null);
      expect(captureTimeMs).to.be.above(last).and.at.most(arrivalMs);
      last = captureTimeMs;
    }
    scene.nowMs = before + 3033.4;
    expectRecovered(scene.run(6000), scene);
  });
});
