import { expect } from "chai";
import { FrameFeed } from "../../../server/engine/process/frame-feed.ts";
import type { InputFrame } from "../../../server/engine/process/rtp/input-stream.ts";

function setUp() {
  const pushed: number[] = [];
  let overflown = 0;
  const feed = new FrameFeed({
    push: (frame) => pushed.push(frame.captureMonoMs),
    onOverflow: (frames) => {
      overflown += frames;
    },
  });
  const push = (captureMonoMs: number, keyFrame = false): void => {
    const frame: InputFrame = {
      data: Buffer.alloc(1),
      keyFrame,
      captureMonoMs,
      captureSource: "arrival",
    };
    feed.push(frame);
  };
  return { feed, push, pushed, overflown: () => overflown };
}

describe("FrameFeed", () => {
  it("hands frames on at once while they come one by one", () => {
    const { feed, push, pushed } = setUp();
    for (let at = 0; at < 10; at += 1) {
      push(at);
      feed.tick();
    }
    expect(pushed.length).to.equal(10);
    expect(feed.waiting).to.equal(0);
  });

  it("spreads a burst over ticks, in order, below the native queue's 16", () => {
    const { feed, push, pushed } = setUp();
    for (let at = 0; at < 21; at += 1) {
      push(at);
    }
    expect(pushed.length).to.be.below(16);
    for (let ticks = 0; ticks < 4; ticks += 1) {
      const before = pushed.length;
      feed.tick();
      expect(pushed.length - before).to.be.at.most(6);
    }
    expect(pushed).to.deep.equal(Array.from({ length: 21 }, (_, at) => at));
  });

  it("is bounded, and goes on with a key frame after it was full", () => {
    const { feed, push, pushed, overflown } = setUp();
    for (let at = 0; at < 200; at += 1) {
      push(at);
    }
    expect(feed.waiting).to.equal(0);
    expect(overflown()).to.equal(200 - pushed.length);
    feed.tick();
    push(200);
    push(201, true);
    push(202);
    expect(pushed.slice(-2)).to.deep.equal([201, 202]);
  });
});
