import { expect } from "chai";
import { RestartPolicy } from "../../../server/engine/restart-policy.ts";

describe("RestartPolicy", () => {
  it("keeps people waiting for less than half a second, however often the engine crashes", () => {
    const policy = new RestartPolicy();
    const delays = [0, 1, 2, 3, 4, 5].map((second) => {
      policy.onReady(second * 1000);
      return policy.onCrash(second * 1000 + 500, 3);
    });
    expect(delays.map(({ delayMs }) => delayMs)).to.deep.equal([100, 200, 400, 400, 400, 400]);
    expect(delays.some(({ resting }) => resting)).to.equal(false);
  });

  it("tries an engine that crashes with nobody in it more and more rarely, for ever", () => {
    const policy = new RestartPolicy();
    let nowMs = 0;
    const delays = Array.from({ length: 14 }, () => {
      const { delayMs, resting } = policy.onCrash(nowMs, 0);
      nowMs += delayMs + 200;
      return resting ? `${delayMs} resting` : delayMs;
    });
    expect(delays.slice(0, 4)).to.deep.equal([100, 200, "400 resting", "800 resting"]);
    expect(delays.slice(-3)).to.deep.equal(Array(3).fill("60000 resting"));
  });

  it("begins anew when the engine has lived for a while, or has taken sessions", () => {
    const policy = new RestartPolicy();
    for (let crash = 0; crash < 5; crash += 1) {
      policy.onCrash(crash, 0);
    }
    policy.onReady(1000);
    expect(policy.onCrash(61_000, 0)).to.deep.equal({ delayMs: 100, resting: false });
    for (let crash = 0; crash < 5; crash += 1) {
      policy.onCrash(62_000 + crash, 0);
    }
    policy.onReady(63_000);
    expect(policy.onCrash(64_000, 1).resting).to.equal(false);
    expect(policy.onCrash(65_000, 0)).to.deep.equal({ delayMs: 100, resting: false });
  });

  it("does not take rare crashes with people in it for one trouble", () => {
    const policy = new RestartPolicy();
    for (const atMs of [0, 61_000, 122_000, 183_000]) {
      policy.onReady(atMs);
      expect(policy.onCrash(atMs + 60_500, 1).delayMs).to.equal(100);
    }
  });
});
