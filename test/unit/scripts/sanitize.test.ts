import { expect } from "chai";
import { takeSanitizers } from "../../../scripts/lib/sanitize.mjs";

describe("takeSanitizers", () => {
  it("leaves a command line without the option alone", () => {
    const args = ["-R", "ring"];
    expect(takeSanitizers(args)).to.deep.equal({ sanitizers: [], rest: args });
  });

  it("takes the list out and keeps its order", () => {
    const args = ["-V", "--sanitize", "thread,address", "-R", "x"];
    const taken = { sanitizers: ["thread", "address"], rest: ["-V", "-R", "x"] };
    expect(takeSanitizers(args)).to.deep.equal(taken);
  });

  it("knows all of them", () => {
    const { sanitizers } = takeSanitizers(["--sanitize", "all"]);
    expect(sanitizers).to.deep.equal(["address", "undefined", "thread"]);
  });

  it("refuses what it does not know, and nothing at all", () => {
    expect(() => takeSanitizers(["--sanitize", "address,memory"])).to.throw('got "memory"');
    expect(() => takeSanitizers(["--sanitize"])).to.throw('got ""');
  });
});
