import { expect } from "chai";
import { countCommands } from "../../../scripts/lib/native.mjs";

describe("countCommands", () => {
  it("reads ninja's plan", () => {
    const plan = [
      "[1/2] Re-checking globbed directories...",
      "[1/13] Building CXX object a.cc.o",
      "[13/13] Linking CXX shared library driftless.node",
    ].join("\n");
    expect(countCommands(plan)).to.equal(13);
  });

  it("counts nothing when there is nothing to do", () => {
    expect(countCommands("ninja: no work to do.\n")).to.equal(0);
    expect(countCommands("[0/2] Re-checking globbed directories...\n")).to.equal(0);
  });
});
