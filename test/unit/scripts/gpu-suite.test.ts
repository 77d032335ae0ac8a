import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect } from "chai";
import { sharesOf, suite } from "../../../scripts/lib/gpu-suite.mjs";
import { nativeProgramsDir } from "../../../scripts/lib/paths.mjs";

describe("the first run on a GPU", () => {
  it("asks its programs for nothing that they do not know", () => {
    for (const step of suite(false, 2, true)) {
      // The processor's codecs stand in for what is not there.
      if (step.command === "driftless-cuda-device" || step.arguments[0] === "encode") continue;
      // Where there is no GPU, all that is wrong must be that.
      const program = join(nativeProgramsDir, step.command);
      const { status, stderr } = spawnSync(program, step.arguments, { encoding: "utf8" });
      expect(stderr, step.name).to.match(/compute backend|CUDA/);
      expect(status, step.name).to.equal(2);
    }
  });

  it("encodes and decodes, with the processor where the GPU does not", () => {
    const steps = suite(true, 1, false).filter((step) => step.arguments[0] === "encode");
    expect(steps).to.have.length(3);
    for (const step of steps) {
      const program = join(nativeProgramsDir, step.command);
      const short = [...step.arguments, "--frames", "10"];
      const { status, stdout, stderr } = spawnSync(program, short, { encoding: "utf8" });
      expect(status, stderr).to.equal(0);
      const values = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
      expect(values).to.include({ ok: true });
      expect(values.encoder).to.match(/^(libx264|h264_nvenc)$/);
      expect(values.decoder).to.match(/^(software|nvdec)$/);
      if (step.name === "encode by the processor") expect(values.refusal).to.equal("");
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
