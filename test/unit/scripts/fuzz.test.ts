import { expect } from "chai";
import { fuzzTargets, parseFuzzArguments } from "../../../scripts/lib/fuzz.mjs";

describe("fuzz", () => {
  it("finds a target for each fuzz_*.cc", () => {
    expect(fuzzTargets()).to.include.members(["decoder", "model-json", "stream", "tensor-file"]);
  });

  it("runs all targets for a minute where nothing is said", () => {
    const parsed = { seconds: 60, targets: ["a", "b"] };
    expect(parseFuzzArguments([], ["a", "b"])).to.deep.equal(parsed);
  });

  it("takes seconds and targets in any order", () => {
    const parsed = { seconds: 5, targets: ["b"] };
    expect(parseFuzzArguments(["b", "--seconds", "5"], ["a", "b"])).to.deep.equal(parsed);
    expect(parseFuzzArguments(["--seconds", "5", "b"], ["a", "b"])).to.deep.equal(parsed);
  });

  it("names what it does not know", () => {
    expect(() => parseFuzzArguments(["c"], ["a", "b"])).to.throw('targets of a, b, got "c"');
    expect(() => parseFuzzArguments(["--seconds", "soon"], ["a"])).to.throw("--seconds");
    expect(() => parseFuzzArguments(["--seconds"], ["a"])).to.throw("--seconds");
  });
});
