import { expect } from "chai";
import { DropCounters, RateMeter, ValueWindow } from "../../../server/engine/process/meters.ts";
import {
  type SessionSample,
  SessionStateMachine,
} from "../../../server/engine/process/session-state.ts";
import { HeartbeatWatch } from "../../../server/telemetry/heartbeat-watch.ts";

function setUp() {
  const changes: string[] = [];
  const machine = new SessionStateMachine(0, ({ state, cause }) =>
    changes.push(`${state}:${cause}`),
  );
  /** Updates every 500 ms over a span with a sample that may depend on the time. */
  const run = (fromMs: number, toMs: number, sample: (nowMs: number) => Partial<SessionSample>) => {
    for (let nowMs = fromMs; nowMs < toMs; nowMs += 500) {
      machine.update({
        nowMs,
        lastInputMs: nowMs,
        lastOutputMs: nowMs,
        inputFps: 30,
        outputFps: 16,
        expectedFps: 16,
        framesPerChunk: 4,
        delayMs: 300,
        level: "full",
        ...sample(nowMs),
      });
    }
  };
  return { changes, machine, run };
}

describe("SessionStateMachine", () => {
  it("goes live with the first frames", () => {
    const { changes, run } = setUp();
    run(0, 2000, () => ({ lastOutputMs: null }));
    run(2000, 3000, () => ({ outputFps: 2 }));
    run(3000, 5000, () => ({}));
    expect(changes).to.deep.equal(["starting:none", "live:none"]);
  });

  it("blames the camera when no video comes, at the start and later", () => {
    const start = setUp();
    start.run(0, 6000, () => ({ lastInputMs: null, lastOutputMs: null }));
    expect(start.changes).to.deep.equal(["starting:none", "fallback:camera"]);
    const later = setUp();
    later.run(0, 2000, () => ({}));
    later.run(2000, 6000, () => ({ lastInputMs: 2000, lastOutputMs: 2000, inputFps: 0 }));
    later.run(6000, 8000, () => ({}));
    expect(later.changes).to.deep.equal(["live:none", "fallback:camera", "live:none"]);
  });

  it("blames the engine when input gives no output", () => {
    const start = setUp();
    start.run(0, 12_000, () => ({ lastOutputMs: null }));
    expect(start.changes).to.deep.equal(["starting:none", "fallback:engine"]);
    const later = setUp();
    later.run(0, 2000, () => ({}));
    later.run(2000, 5000, () => ({ lastOutputMs: 1500 }));
    expect(later.changes).to.deep.equal(["live:none", "fallback:engine"]);
  });

  it("gives a slow camera time to fill a chunk", () => {
    const { changes, run } = setUp();
    const slow = { inputFps: 1, outputFps: 1, expectedFps: 1 };
    run(0, 20_000, (nowMs) => ({ ...slow, lastOutputMs: nowMs - (nowMs % 4000) }));
    expect(changes).to.deep.equal(["live:none"]);
  });

  it("is degraded only by lasting slowness, and recovers only for good", () => {
    const { changes, run } = setUp();
    run(0, 2000, () => ({}));
    run(2000, 3500, () => ({ outputFps: 8 }));
    run(3500, 6000, () => ({}));
    expect(changes).to.deep.equal(["live:none"]);
    run(6000, 9000, () => ({ outputFps: 8 }));
    run(9000, 11_000, () => ({}));
    run(11_000, 12_000, () => ({ outputFps: 8 }));
    run(12_000, 14_500, () => ({}));
    expect(changes).to.deep.equal(["live:none", "degraded:engine"]);
    run(14_500, 16_000, () => ({}));
    expect(changes).to.deep.equal(["live:none", "degraded:engine", "live:none"]);
  });

  it("is degraded by a high delay, with a gap between both limits", () => {
    const { machine, run } = setUp();
    run(0, 2000, () => ({}));
    run(2000, 6000, () => ({ delayMs: 1600 }));
    expect(machine.state).to.equal("degraded");
    run(6000, 12_000, () => ({ delayMs: 1200 }));
    expect(machine.state).to.equal("degraded");
    run(12_000, 16_000, () => ({ delayMs: 900 }));
    expect(machine.state).to.equal("live");
  });

  it("agrees at once with what the engine's scheduler gives, and waits for lasting recovery", () => {
    const { changes, machine, run } = setUp();
    run(0, 2000, () => ({}));
    run(2000, 2500, () => ({ level: "fewerSteps" }));
    expect(changes).to.deep.equal(["live:none", "degraded:engine"]);
    run(2500, 3000, () => ({ level: "lowerRate", outputFps: 8, expectedFps: 16 }));
    run(3000, 9000, (nowMs) => ({ level: "fallback", lastOutputMs: Math.min(nowMs, 3000) }));
    expect(changes).to.deep.equal([
      "live:none",
      "degraded:engine",
      // The same state with another reason is told as well.
      "degraded:engine",
      "fallback:engine",
    ]);
    run(9000, 9500, () => ({ level: "lowerRate" }));
    expect(machine.state).to.equal("degraded");
    run(9500, 12_000, () => ({}));
    expect(machine.state).to.equal("degraded");
    run(12_000, 14_000, () => ({}));
    expect(machine.state).to.equal("live");
  });

  it("stays stopped", () => {
    const { changes, machine, run } = setUp();
    machine.stop("closed");
    run(0, 3000, () => ({}));
    expect(changes).to.deep.equal(["stopped:none"]);
  });
});

describe("HeartbeatWatch", () => {
  it("finds a silent process, but not because this one stood still", () => {
    const watch = new HeartbeatWatch(1000, 100);
    expect(watch.check(0)).to.equal(false);
    expect(watch.check(5000)).to.equal(false);
    for (let at = 5100; at < 5800; at += 100) {
      expect(watch.check(at)).to.equal(false);
    }
    expect(watch.check(5800)).to.equal(true);
  });

  it("starts over with each sign of life", () => {
    const watch = new HeartbeatWatch(300, 100);
    for (let at = 0; at < 5000; at += 100) {
      watch.beat();
      expect(watch.check(at)).to.equal(false);
    }
  });
});

describe("meters", () => {
  it("give percentiles of the recent past only", () => {
    const window = new ValueWindow({ windowMs: 1000, capacity: 100 });
    expect(window.percentiles(0)).to.equal(null);
    for (let value = 1; value <= 100; value += 1) {
      window.add(value, 500);
    }
    expect(window.percentiles(600)).to.deep.equal({ p50: 50, p95: 95 });
    expect(window.mean(600)).to.equal(50.5);
    expect(window.percentiles(1600)).to.equal(null);
  });

  it("are bounded", () => {
    const window = new ValueWindow({ capacity: 2 });
    for (const value of [1, 2, 3]) {
      window.add(value, 0);
    }
    expect(window.percentiles(0)).to.deep.equal({ p50: 2, p95: 3 });
  });

  it("rate frames a second, from the first second on", () => {
    const meter = new RateMeter({ windowMs: 2000 });
    expect(meter.perSecond(0)).to.equal(0);
    for (let at = 0; at < 4000; at += 100) {
      meter.add(1, at);
    }
    expect(meter.perSecond(4000)).to.be.closeTo(10, 0.6);
    expect(meter.perSecond(9000)).to.equal(0);
  });

  it("count drops by reason", () => {
    const drops = new DropCounters();
    drops.add("late");
    drops.add("late", 2);
    expect(drops.toRecord()).to.deep.equal({ late: 3 });
  });
});
