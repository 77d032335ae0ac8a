import { expect } from "chai";
import { deal } from "../../../loadtest/crew.ts";
import { parseOptions } from "../../../loadtest/options.ts";
import { buildReport, formatReport } from "../../../loadtest/report.ts";
import { slopePerHour } from "../../../loadtest/soak.ts";

describe("load test: processes and soaks", () => {
  it("gives everybody to exactly one process", () => {
    const hands = [0, 1, 2].map((hand) => deal(10, 3, hand));
    expect(hands.flat().sort((a, b) => a - b)).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(hands.map((own) => own.length)).to.deep.equal([4, 3, 3]);
  });

  it("reads hours as a soak, and refuses them beside seconds", () => {
    expect(parseOptions(["--hours", "0.5"])).to.include({ seconds: 1800, soak: true });
    expect(parseOptions([])).to.include({ seconds: 20, soak: false });
    expect(parseOptions(["--threads", "3"])).to.include({ threads: 3 });
    expect(() => parseOptions(["--hours", "1", "--seconds", "5"])).to.throw("--hours");
    expect(() => parseOptions(["--hours", "soon"])).to.throw('got "soon"');
    expect(() => parseOptions(["--threads", "0"])).to.throw("--threads");
  });

  it("finds the slope of what grows, and none in what is too short", () => {
    const line = (seconds: number[]) => seconds.map((s) => [s, 100 + s / 360] as const);
    expect(slopePerHour(line([0, 200, 400, 600]))).to.equal(10);
    expect(slopePerHour(line([0, 60, 120]))).to.equal(null);
    expect(slopePerHour(line([0, 900]))).to.equal(null);
  });

  it("says when the load test itself was the limit", () => {
    const options = parseOptions([]);
    if (options === "help") throw new Error("expected options");
    const report = (loopLagP95Ms: number[]) =>
      buildReport({
        ...{ options, measuredMs: 1000, media: "", joinsMs: [], viewers: [], failures: [] },
        ...{ transformsRequestedAtMs: 0, cpuPercent: null, loadGeneratorCpuPercent: 0 },
        ...{ loopLagP95Ms, soak: null },
      });
    expect(report([3, 4]).loadGenerator).to.include({ isTheLimit: false, processes: 2 });
    expect(report([3, 45]).loadGenerator.isTheLimit).to.equal(true);
    expect(formatReport(report([3, 45]))).to.include("THE LOAD TEST ITSELF IS THE LIMIT");
  });
});
