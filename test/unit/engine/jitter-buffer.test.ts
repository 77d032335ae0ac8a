import { expect } from "chai";
import { JitterBuffer } from "../../../server/engine/process/rtp/jitter-buffer.ts";
import { NackGenerator } from "../../../server/engine/process/rtp/nack-generator.ts";
import { packet } from "./support/packets.ts";

function sequences(buffer: JitterBuffer, nowMs: number): number[] {
  return buffer.release(nowMs).map((released) => released.packet.sequence);
}

describe("JitterBuffer", () => {
  it("hands packets on in order, across the wrap of the sequence", () => {
    const buffer = new JitterBuffer();
    for (const sequence of [65534, 0, 65535, 2, 1]) {
      expect(buffer.insert(packet(sequence), 0)).to.equal("accepted");
    }
    expect(sequences(buffer, 0)).to.deep.equal([65534, 65535, 0, 1, 2]);
  });

  it("drops duplicates, waiting or already handed on", () => {
    const buffer = new JitterBuffer();
    buffer.insert(packet(10), 0);
    buffer.insert(packet(12), 0);
    expect(buffer.insert(packet(12), 0)).to.equal("duplicate");
    expect(sequences(buffer, 0)).to.deep.equal([10]);
    expect(buffer.insert(packet(10), 0)).to.equal("late");
    expect(buffer.size).to.equal(1);
  });

  it("waits for a missing packet, then marks the loss", () => {
    const buffer = new JitterBuffer({ maxWaitMs: 200 });
    buffer.insert(packet(1), 0);
    expect(buffer.release(0)[0]?.afterGap).to.equal(true);
    buffer.insert(packet(3), 10);
    buffer.insert(packet(4), 20);
    expect(buffer.missing()).to.deep.equal([2]);
    expect(sequences(buffer, 209)).to.deep.equal([]);
    const released = buffer.release(210);
    expect(released.map((r) => [r.packet.sequence, r.afterGap])).to.deep.equal([
      [3, true],
      [4, false],
    ]);
    expect(buffer.insert(packet(2), 211)).to.equal("late");
  });

  it("needs no wait when the missing packet comes", () => {
    const buffer = new JitterBuffer();
    buffer.insert(packet(1), 0);
    buffer.release(0);
    buffer.insert(packet(3), 10);
    buffer.insert(packet(2), 100);
    expect(buffer.release(100).map((r) => r.afterGap)).to.deep.equal([false, false]);
    expect(buffer.missing()).to.deep.equal([]);
  });

  it("is bounded: a full buffer gives the gap up at once", () => {
    const buffer = new JitterBuffer({ maxPackets: 4 });
    buffer.insert(packet(1), 0);
    buffer.release(0);
    for (const sequence of [3, 4, 5, 6]) {
      buffer.insert(packet(sequence), 1);
    }
    expect(buffer.insert(packet(7), 1)).to.equal("overflow");
    expect(sequences(buffer, 1)).to.deep.equal([3, 4, 5, 6]);
  });

  it("follows a sender that started anew, but not a single stray packet", () => {
    const buffer = new JitterBuffer();
    buffer.insert(packet(100), 0);
    buffer.release(0);
    expect(buffer.insert(packet(30_000), 1)).to.equal("jump");
    expect(buffer.insert(packet(101), 2)).to.equal("accepted");
    expect(sequences(buffer, 2)).to.deep.equal([101]);
    expect(buffer.insert(packet(40_000), 3)).to.equal("jump");
    expect(buffer.insert(packet(40_001), 4)).to.equal("accepted");
    const released = buffer.release(4);
    expect(released.map((r) => [r.packet.sequence, r.afterGap])).to.deep.equal([[40_001, true]]);
  });
});

describe("NackGenerator", () => {
  it("asks after a grace for reordering, again after a while, and not forever", () => {
    const nacks = new NackGenerator({ firstDelayMs: 10, retryMs: 50, maxTries: 2 });
    const asked = [0, 5, 10, 30, 60, 110, 500].map((at) => nacks.due([7], at).sequences.length);
    expect(asked).to.deep.equal([0, 0, 1, 0, 1, 0, 0]);
  });

  it("forgets what arrived", () => {
    const nacks = new NackGenerator({ firstDelayMs: 10, maxTries: 1 });
    nacks.due([7, 8], 0);
    nacks.due([8], 5);
    expect(nacks.due([7, 8], 10).sequences).to.deep.equal([8]);
  });

  it("wants a key frame when too much is missing", () => {
    const nacks = new NackGenerator({ maxMissing: 3 });
    expect(nacks.due([1, 2, 3, 4], 0)).to.deep.equal({ sequences: [], hopeless: true });
  });
});
