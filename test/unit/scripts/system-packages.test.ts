import { readFileSync } from "node:fs";
import { expect } from "chai";
import { PROFILES } from "../../../scripts/lib/setup.mjs";
import {
  missingPackages,
  packagesOf,
  readPackageGroups,
} from "../../../scripts/lib/system-packages.mjs";

describe("system packages", () => {
  it("lists each package of several groups once", () => {
    const groups = { a: ["cmake", "g++"], b: ["g++", "ffmpeg"] };
    expect(packagesOf(groups, ["a", "b"])).to.deep.equal(["cmake", "g++", "ffmpeg"]);
  });

  it("names the known groups when one is unknown", () => {
    expect(() => packagesOf({ a: [] }, ["z"])).to.throw('expected a group of a, got "z"');
  });

  it("counts removed, half-installed and unknown packages as missing", () => {
    const report = "cmake ii \ng++ rc \nffmpeg iU \n";
    const wanted = ["cmake", "g++", "ffmpeg", "chromium"];
    expect(missingPackages(wanted, report)).to.deep.equal(["g++", "ffmpeg", "chromium"]);
  });

  it("has every group that a profile asks for", () => {
    const groups = readPackageGroups();
    for (const profile of Object.values(PROFILES)) {
      expect(() => packagesOf(groups, profile.packages)).not.to.throw();
    }
  });

  it("are installed in the image by the set-up alone", () => {
    const dockerfile = readFileSync(new URL("../../../Dockerfile", import.meta.url), "utf8");
    expect(dockerfile).to.match(/^RUN node scripts\/setup\.mjs start$/m);
    expect(dockerfile).to.match(/^RUN node scripts\/setup\.mjs runtime /m);
    expect(dockerfile).not.to.match(/apt-get/);
  });
});
