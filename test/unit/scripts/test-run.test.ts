import { expect } from "chai";
import { sumReports } from "../../../scripts/lib/test-run.mjs";

describe("sumReports", () => {
  it("adds the counts of all native test programs", () => {
    const reports = [
      { tests: 10, failures: 2, errors: 0 },
      { tests: 5, failures: 0 },
    ];
    expect(sumReports(reports)).to.deep.equal({ passed: 13, failed: 2 });
  });

  it("counts nothing where nothing ran", () => {
    expect(sumReports([])).to.deep.equal({ passed: 0, failed: 0 });
  });
});
