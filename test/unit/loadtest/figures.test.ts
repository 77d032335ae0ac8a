import { expect } from "chai";
import { parseOptions } from "../../../loadtest/options.ts";
import { percentiles } from "../../../loadtest/statistics.ts";

describe("load test: figures and options", () => {
  it("takes nearest-rank percentiles", () => {
    const samples = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(percentiles(samples)).to.deep.equal({ p50: 50, p95: 95, p99: 99, samples: 100 });
  });

  it("says null where nothing was measured", () => {
    expect(percentiles([])).to.deep.equal({ p50: null, p95: null, p99: null, samples: 0 });
  });

  it("reads counts and asks every publisher for a transform unless told otherwise", () => {
    const options = parseOptions(["--publishers", "3", "--viewers", "5", "--rooms", "2"]);
    expect(options).to.include({ publishers: 3, viewers: 5, rooms: 2, transforms: 3, json: false });
  });

  it("names the option, what was expected and what came", () => {
    expect(() => parseOptions(["--seconds", "ten"])).to.throw(
      '--seconds: expected a whole number from 1 to 86400, got "ten"',
    );
    expect(() => parseOptions(["--publishers", "1", "--rooms", "2"])).to.throw("--rooms");
    expect(() => parseOptions(["--speed", "9"])).to.throw("--speed");
  });
});
