import { expect } from "chai";
import { findings } from "../../../scripts/lib/quality.mjs";

const look = (prompt: string, flickerRatio: number) => ({
  prompt,
  flickerRatio,
  structure: 1,
  frozenFlicker: 0,
  effect: 0,
  msPerChunk: 1,
  enlargedFlickerRatio: 1,
  enlargeMs: 1,
});
const good = {
  looks: [{ clip: "a.mp4", looks: [look("ink", 1.9)] }],
  matte: { iou: 0.98, leakage: 0.001, leakageFirstSecond: 0 },
  drift: { largestShare: 0.01, minutes: 10 },
};

describe("the quality bench", () => {
  it("finds nothing where everything is within its bounds", () => {
    expect(findings(good)).to.deep.equal([]);
  });

  it("names each bound that is missed, with what was measured", () => {
    const bad = {
      looks: [{ clip: "a.mp4", looks: [look("ink", 2.5), look("oil", 0.4)] }],
      matte: { iou: 0.9, leakage: 0.006, leakageFirstSecond: 0.0001 },
      drift: { largestShare: 0.06, minutes: 10 },
    };
    const lines = findings(bad);
    expect(lines).to.have.length(5);
    expect(lines[0]).to.match(/a\.mp4, "ink": flicker 2\.50 .*at most 2/);
    expect(lines[1]).to.contain("IoU 0.900");
    expect(lines[2]).to.contain("leakage 0.600 %");
    expect(lines[3]).to.contain("leakageFirstSecond 0.010 %");
    expect(lines[4]).to.contain("6.0 % after 10 minutes");
  });
});
