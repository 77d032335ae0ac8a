import { expect } from "chai";
import { compareVersions } from "../../../scripts/lib/version.mjs";

describe("compareVersions", () => {
  it("compares part by part as numbers", () => {
    expect(compareVersions("v22.18.0", "22.9.1")).to.be.greaterThan(0);
    expect(compareVersions("20.20.2", "22.18.0")).to.be.lessThan(0);
    expect(compareVersions("v24.9.0", "24.9.0")).to.equal(0);
  });

  it("takes a missing part for 0 and looks past a suffix", () => {
    expect(compareVersions("22.18", "22.18.0")).to.equal(0);
    expect(compareVersions("23.0.0-nightly2026", "22.18.0")).to.be.greaterThan(0);
  });

  it("names what it got when that is no version", () => {
    expect(() => compareVersions("latest", "22.18.0")).to.throw('got "latest"');
  });
});
