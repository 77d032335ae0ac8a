import { expect } from "chai";
import { JitterBuffer } from "../../../server/engine/process/rtp/jitter-buffer.ts";
import { RepairTimes } from "../../../server/engine/process/rtp/repair-times.ts";
import { runLink } from "./support/camera-link.ts";
import { packet } from "./support/packets.ts";

describe("a camera far away", function () {
  this.timeout(30_000);

  for (const repairs of ["sfu", "engine"] as const) {
    for (const roundTripMs of [0, 60, 150, 250, 300]) {
      it(`keeps its frames at ${roundTripMs} ms and 1 % loss, repaired by the ${repairs}`, () => {
        const result = runLink({ roundTripMs, loss: 0.01, repairs });
        expect(result.share).to.be.at.least(0.99);
        expect(result.longestGapMs).to.be.below(2 * roundTripMs + 200);
        expect(Math.max(...result.waitsMs)).to.be.at.most(700);
      });
    }
  }

  it("keeps nearly all at 5 % loss, in bursts and with reordering", () => {
    for (const accidents of [
      { loss: 0.05 },
      { loss: 0.01, burst: 8 },
      { loss: 0.01, reordering: 0.05 },
    ]) {
      const result = runLink({ roundTripMs: 250, repairs: "sfu", ...accidents });
      expect(result.share, JSON.stringify(accidents)).to.be.at.least(0.99);
    }
  });

  it("adds no delay while nothing is lost", () => {
    const result = runLink({ roundTripMs: 300, loss: 0, repairs: "sfu", seconds: 10 });
    expect(result.mostAddedMs).to.equal(0);
    expect(result.nacked).to.equal(0);
  });

  it("waits less again when the round trip falls", () => {
    const { waitsMs, share } = runLink({
      roundTripMs: (ms) => (ms < 30_000 ? 300 : 40),
      loss: 0.03,
      repairs: "sfu",
      seconds: 75,
    });
    expect(waitsMs[29]).to.be.above(600);
    expect(waitsMs.at(-1)).to.equal(200);
    expect(share).to.be.above(0.97);
  });

  it("soon stops waiting where nobody repairs", () => {
    const { waitsMs, drops } = runLink({
      roundTripMs: 50,
      loss: 0.01,
      repairs: "none",
      seconds: 20,
    });
    expect(waitsMs.at(-1)).to.equal(200);
    expect(drops.get("gapGivenUp")).to.be.above(3);
  });
});

describe("RepairTimes", () => {
  it("waits for the bound before anything was measured, then for two attempts", () => {
    const times = new RepairTimes();
    expect(times.waitMs(0)).to.equal(700);
    times.onRepair(110, 0, false);
    expect(times.waitMs(0)).to.equal(300);
    expect(times.retryMs(0)).to.equal(120);
    times.onRepair(305, 0, false);
    expect(times.waitMs(0)).to.equal(690);
    times.onRepair(500, 0, false);
    expect(times.waitMs(0)).to.equal(700);
  });

  it("takes reordering for no repair, and forgets what is old", () => {
    const times = new RepairTimes();
    times.onRepair(5, 0, false);
    expect(times.waitMs(0)).to.equal(700);
    times.onRepair(60, 0, false);
    expect(times.waitMs(30_000)).to.equal(200);
    expect(times.waitMs(30_001)).to.equal(700);
  });

  it("uses a round trip that the server knows", () => {
    const times = new RepairTimes();
    times.setRoundTrip(100);
    expect(times.waitMs(0)).to.equal(280);
    times.setRoundTrip(1000);
    expect(times.waitMs(0)).to.equal(700);
    times.setRoundTrip(0);
    expect(times.waitMs(0)).to.equal(200);
  });

  it("gives up soon when repairs never come in time", () => {
    const times = new RepairTimes();
    for (let i = 0; i < 4; i += 1) {
      times.onRepair(900, i, true);
    }
    expect(times.waitMs(4)).to.equal(200);
    times.onRepair(305, 5, true);
    expect(times.waitMs(5)).to.be.at.least(600);
  });
});

describe("JitterBuffer that learns", () => {
  it("takes the late arrival of a given-up packet as a measurement", () => {
    const buffer = new JitterBuffer({ minWaitMs: 50, maxWaitMs: 700 });
    buffer.setRoundTrip(0);
    buffer.insert(packet(1), 0);
    buffer.insert(packet(3), 0);
    buffer.release(0);
    buffer.setRoundTrip(null);
    expect(buffer.release(699).length).to.equal(0);
    expect(buffer.release(700).length).to.equal(1);
    expect(buffer.gapsGivenUp).to.equal(1);
    expect(buffer.insert(packet(2), 705)).to.equal("late");
    expect(buffer.lateRepairs).to.equal(1);
    expect(buffer.insert(packet(2), 706)).to.equal("late");
    expect(buffer.lateRepairs).to.equal(1);
  });

  it("goes on with a whole key frame behind the gap as soon as the repair is overdue", () => {
    for (const whole of [true, false]) {
      const buffer = new JitterBuffer();
      buffer.setRoundTrip(200);
      buffer.insert(packet(1), 0);
      buffer.release(0);
      buffer.insert(packet(3), 0);
      buffer.insert(packet(4, { startsKeyFrame: true }), 100);
      buffer.insert(packet(whole ? 5 : 6, { marker: true }), 100);
      expect(buffer.release(209).length).to.equal(0);
      expect(buffer.release(210).map((r) => r.packet.sequence)).to.deep.equal(
        whole ? [3, 4, 5] : [],
      );
    }
  });

  it("waits for the repair of the key frame itself", () => {
    const buffer = new JitterBuffer();
    buffer.setRoundTrip(200);
    buffer.insert(packet(1), 0);
    buffer.release(0);
    buffer.insert(packet(4, { startsKeyFrame: false, marker: true }), 0);
    buffer.insert(packet(2, { startsKeyFrame: true }), 0);
    expect(buffer.release(0).map((r) => r.packet.sequence)).to.deep.equal([2]);
    expect(buffer.release(400).length).to.equal(0);
  });
});
