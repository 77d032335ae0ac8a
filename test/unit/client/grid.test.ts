import { expect } from "chai";
import { bestGrid } from "../../../client/src/ui/grid.ts";

describe("the grid of tiles", () => {
  it("puts tiles side by side in a wide box and below each other in a high one", () => {
    expect(bestGrid(2, 1600, 500, 10)).to.deep.equal({ columns: 2, tileWidth: 795 });
    expect(bestGrid(2, 600, 900, 10)).to.deep.equal({ columns: 1, tileWidth: 600 });
  });

  it("keeps every tile inside the box", () => {
    for (let count = 1; count <= 20; count += 1) {
      const { columns, tileWidth } = bestGrid(count, 930, 640, 12);
      const rows = Math.ceil(count / columns);
      expect(columns * tileWidth + (columns - 1) * 12).to.be.at.most(930);
      expect((rows * tileWidth * 9) / 16 + (rows - 1) * 12).to.be.at.most(640.01);
    }
  });

  it("uses the full width where the page scrolls", () => {
    expect(bestGrid(4, 340, 0, 12)).to.deep.equal({ columns: 1, tileWidth: 340 });
  });
});
