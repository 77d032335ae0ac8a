import { expect } from "chai";
import { ClockConverter } from "../../../server/engine/process/rtp/wall-clock.ts";

const OFFSET = 1_790_000_000_000;

function setUp() {
  const clock = new ClockConverter({ offsetMs: OFFSET });
  let monoMs = 0;
  /** A report each second from a clock `aheadMs` off, which took `delayMs`. */
  const report = (aheadMs: number, delayMs = 1): number => {
    monoMs += 1000;
    clock.observe(OFFSET + aheadMs + monoMs - delayMs, monoMs);
    return clock.offsetMs - OFFSET;
  };
  return { clock, report };
}

describe("ClockConverter", () => {
  it("converts both ways, by the guess until a report comes", () => {
    const { clock } = setUp();
    expect(clock.toWallMs(500)).to.equal(OFFSET + 500);
    expect(clock.toMonoMs(OFFSET + 500)).to.equal(500);
  });

  it("believes the first report that is far off, in both directions", () => {
    for (const aheadMs of [3_600_000, -3_600_000, 60_000, -150]) {
      const { clock, report } = setUp();
      expect(report(aheadMs)).to.be.closeTo(aheadMs, 2);
      expect(clock.steps).to.equal(1);
    }
  });

  it("steps forward with one report and backward with two", () => {
    const { clock, report } = setUp();
    for (let i = 0; i < 10; i += 1) {
      report(0);
    }
    expect(report(3_600_000)).to.be.closeTo(3_600_000, 2);
    report(0);
    expect(report(0)).to.be.closeTo(0, 2);
    expect(clock.steps).to.equal(2);
  });

  it("lets a report that waited on its way pass by", () => {
    const { clock, report } = setUp();
    report(0);
    for (let i = 0; i < 20; i += 1) {
      expect(report(0, i % 3 === 0 ? 400 : 2)).to.be.closeTo(0, 5);
    }
    expect(clock.steps).to.equal(0);
  });

  it("slews where it is near, by at most 20 ms a second", () => {
    const { clock, report } = setUp();
    let before = 0;
    for (let i = 0; i < 20; i += 1) {
      const now = report(80);
      expect(Math.abs(now - before)).to.be.at.most(20.001);
      before = now;
    }
    expect(before).to.be.closeTo(79, 1);
    expect(clock.steps).to.equal(0);
  });

  it("follows a drift of 200 ppm for hours without a step", () => {
    const { clock, report } = setUp();
    for (let s = 0; s < 7200; s += 1) {
      expect(report(s * 0.2, 1 + (s % 7))).to.be.closeTo(s * 0.2, 12);
    }
    expect(clock.steps).to.equal(0);
  });
});
