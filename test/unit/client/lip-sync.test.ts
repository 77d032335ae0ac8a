import { expect } from "chai";
import { audioTarget } from "../../../client/src/media/lip-sync.ts";

describe("the delay of the voice", () => {
  it("follows the transform while the generated picture is shown", () => {
    expect(audioTarget("generated", { delayMs: 480.4 }, null)).to.equal(480);
    expect(audioTarget("generated", { delayMs: 700 }, 480)).to.equal(700);
  });

  it("stays where it is for small changes and unknown delays", () => {
    expect(audioTarget("generated", { delayMs: 500 }, 480)).to.equal(480);
    expect(audioTarget("generated", { delayMs: null }, 480)).to.equal(480);
    expect(audioTarget("generated", { delayMs: Number.NaN }, null)).to.equal(null);
  });

  it("keeps within what browsers can hold", () => {
    expect(audioTarget("generated", { delayMs: 9_000 }, null)).to.equal(3_000);
    expect(audioTarget("generated", { delayMs: -20 }, null)).to.equal(0);
  });

  it("ends with the transform, whatever is shown then", () => {
    expect(audioTarget("none", null, 480)).to.equal(null);
    expect(audioTarget("generated", null, 480)).to.equal(null);
  });

  it("goes back to the browser's choice with the original, and waits while nothing is shown", () => {
    expect(audioTarget("original", { delayMs: 480 }, 480)).to.equal(null);
    expect(audioTarget("none", { delayMs: 480 }, 300)).to.equal(300);
  });
});
