import { expect } from "chai";
import { lockDifferences } from "../../../scripts/lib/npm-packages.mjs";

describe("lockDifferences", () => {
  const wanted = {
    packages: {
      "": { version: "0.1.0" },
      "node_modules/zod": { version: "4.6.7" },
      "node_modules/@rolldown/linux": { version: "1.0.0", optional: true },
    },
  };

  it("finds none in a folder that holds the same versions", () => {
    const installed = { packages: { "node_modules/zod": { version: "4.6.7" } } };
    expect(lockDifferences(wanted, installed)).to.deep.equal([]);
  });

  it("finds another version, also of an optional package", () => {
    const installed = {
      packages: {
        "node_modules/zod": { version: "4.6.6" },
        "node_modules/@rolldown/linux": { version: "0.9.0" },
      },
    };
    expect(lockDifferences(wanted, installed)).to.deep.equal([
      "node_modules/zod",
      "node_modules/@rolldown/linux",
    ]);
  });

  it("finds everything missing in an empty folder but optional packages", () => {
    expect(lockDifferences(wanted, {})).to.deep.equal(["node_modules/zod"]);
  });
});
