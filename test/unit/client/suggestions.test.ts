import { expect } from "chai";
import { suggest } from "../../../client/src/ui/suggestions.ts";

const OFFERED = ["watercolour beach", "oil painting", "pencil beach, winter", "neon", "anime"];

describe("suggestions", () => {
  it("offers the first few while nothing is typed", () => {
    expect(suggest(OFFERED, "")).to.deep.equal(OFFERED.slice(0, 3));
  });
  it("offers what goes on from the last word", () => {
    expect(suggest(OFFERED, "a nice bea")).to.deep.equal([
      "watercolour beach",
      "pencil beach, winter",
    ]);
    expect(suggest(OFFERED, "WIN")).to.deep.equal(["pencil beach, winter"]);
  });
  it("does not offer what stands there already", () => {
    expect(suggest(OFFERED, " Oil painting ")).not.to.include("oil painting");
  });
  it("offers any words where none goes on from what is typed", () => {
    expect(suggest(OFFERED, "xylophone")).to.have.length(3);
    expect(suggest([], "x")).to.deep.equal([]);
  });
});
