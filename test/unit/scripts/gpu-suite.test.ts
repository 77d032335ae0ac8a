import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect } from "chai";
import { sharesOf, suite } from "../../../scripts/lib/gpu-suite.mjs";
import { nativeProgramsDir } from "../../../scripts/lib/paths.mjs";

describe("the first run on a GPU", () => {
  it("asks the bench for nothing that it does not know", () => {
    for (const step of suite(false, 2)) {
      if (step.command !== "driftless-bench") continue;
      // Where there is no GPU, all that is wrong must be that.
      const program = join(nativeProgramsDir, step.command);
      const { status, stderr } = spawnSync(program, step.arguments, { encoding: "utf8" });
      expect(stderr, step.name).to.match(/compute backend|CUDA/);
      expect(status, step.name).to.equal(2);
    }
  });

  it("measures how near a transformer comes to the card's own product rate", () => {
    const result = (name: string, values: Record<string, number> | null) => ({
      name,
      command: "",
      passed: true,
      values,
    });
    const results = [
      result("roofline", { productTflops: 400 }),
      result("dit", { gflops: 100_000 }),
      result("stream 1", { fps: 16 }),
    ];
    expect(sharesOf(results)).to.deep.equal({ dit: 0.25 });
    expect(sharesOf([result("roofline", null)])).to.deep.equal({});
  });
});
