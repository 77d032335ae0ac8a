import { expect } from "chai";
import fc from "fast-check";
import { arrange, aspectChanged, type Box, MAX_LARGE } from "../../../client/src/ui/layout.ts";

const WIDE = 16 / 9;
const UPRIGHT = 9 / 16;

function overlap(a: Box, b: Box): boolean {
  return (
    a.left < b.left + b.width &&
    b.left < a.left + a.width &&
    a.top < b.top + b.height &&
    b.top < a.top + a.height
  );
}

describe("the layout of tiles", () => {
  it("puts tiles side by side in a wide stage and below each other in a high one", () => {
    const wide = arrange([WIDE, WIDE], { width: 1600, height: 500, gap: 10 }).boxes;
    expect(wide[0]?.top).to.equal(wide[1]?.top);
    const high = arrange([WIDE, WIDE], { width: 600, height: 900, gap: 10 }).boxes;
    expect(high[0]?.left).to.equal(high[1]?.left);
  });

  it("gives an upright camera an upright tile beside a wide one of the same height", () => {
    const [a, b] = arrange([UPRIGHT, WIDE], { width: 1200, height: 600, gap: 12 }).boxes;
    expect(a?.height).to.equal(b?.height);
    expect((a?.width ?? 0) / (a?.height ?? 1)).to.be.closeTo(UPRIGHT, 0.01);
    expect((b?.width ?? 0) / (b?.height ?? 1)).to.be.closeTo(WIDE, 0.01);
  });

  it("keeps all tiles of a small room in sight, apart, and in their own shape", () => {
    const aspect = fc.constantFrom(WIDE, 4 / 3, 1, 3 / 4, UPRIGHT, 9 / 21);
    fc.assert(
      fc.property(
        fc.array(aspect, { minLength: 1, maxLength: MAX_LARGE }),
        fc.integer({ min: 300, max: 2_000 }),
        fc.integer({ min: 200, max: 1_400 }),
        (aspects, width, height) => {
          const { boxes } = arrange(aspects, { width, height, gap: 12 });
          boxes.forEach((box, index) => {
            expect(box.left).to.be.at.least(-1);
            expect(box.top).to.be.at.least(0);
            expect(box.left + box.width).to.be.at.most(width + 1);
            expect(box.top + box.height).to.be.at.most(height + 1);
            expect(Math.abs(box.width - (aspects[index] ?? 0) * box.height)).to.be.at.most(1);
            for (const other of boxes.slice(0, index)) expect(overlap(box, other)).to.equal(false);
          });
        },
      ),
    );
  });

  it("shows a room of fifty by scrolling, nine of them at once", () => {
    const stage = { width: 920, height: 600, gap: 8 };
    const { boxes, height } = arrange(Array(50).fill(WIDE), stage);
    expect(height).to.be.greaterThan(stage.height);
    const inSight = boxes.filter(({ top, height }) => top + height <= stage.height);
    expect(inSight.length).to.be.within(4, MAX_LARGE + 3);
  });

  it("makes who speaks large in a big room, above all others", () => {
    const stage = { width: 920, height: 600, gap: 8 };
    const { boxes } = arrange(Array(50).fill(WIDE), stage, 7);
    const large = boxes[7];
    expect(large?.top).to.equal(0);
    for (const [index, box] of boxes.entries()) {
      if (index === 7 || large === undefined) continue;
      expect(box.width).to.be.lessThan(large.width / 2);
      expect(box.top).to.be.at.least(large.height);
    }
  });

  it("uses the full width where the page scrolls, but no more height than the screen has", () => {
    const narrow = { width: 340, height: 0, gap: 12 };
    expect(arrange([WIDE], narrow).boxes[0]).to.include({ left: 0, width: 340 });
    const [upright] = arrange([UPRIGHT], narrow).boxes;
    expect(upright?.height).to.be.at.most(400);
    expect((upright?.width ?? 0) / (upright?.height ?? 1)).to.be.closeTo(UPRIGHT, 0.01);
    const many = arrange(Array(6).fill(WIDE), narrow).boxes;
    expect(many[0]?.top).to.equal(many[1]?.top);
  });

  it("does not move for the rounding of a smaller layer", () => {
    expect(aspectChanged(WIDE, 160 / 90)).to.equal(false);
    expect(aspectChanged(WIDE, 256 / 144)).to.equal(false);
    expect(aspectChanged(WIDE, UPRIGHT)).to.equal(true);
    expect(aspectChanged(4 / 3, WIDE)).to.equal(true);
  });
});
