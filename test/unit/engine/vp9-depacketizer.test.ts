import { expect } from "chai";
import { createDepacketizer } from "../../../server/engine/process/rtp/depacketize.ts";

// RFC 9628, figure 1: I P L F B E V Z.
const I = 0x80;
const P = 0x40;
const L = 0x20;
const F = 0x10;
const B = 0x08;
const E = 0x04;
const V = 0x02;

/** Frame marker 2, profile 0, shown, key frame or not. */
const KEY = 0x80;
const INTER = 0x84;
const vp9 = createDepacketizer("vp9");

const payload = (flags: number, descriptor: number[], data: number[]): Buffer =>
  Buffer.from([flags, ...descriptor, ...data]);
/** TID 0, U 0, the layer, D; then TL0PICIDX. */
const layer = (sid: number): number[] => [(sid << 1) | (sid > 0 ? 1 : 0), 7];

describe("VP9 depacketiser", () => {
  const descriptors: [string, number, number[]][] = [
    ["no fields", 0, []],
    ["7-bit picture id", I, [0x12]],
    ["15-bit picture id", I, [0x92, 0x34]],
    ["layers", I | L, [0x92, 0x34, ...layer(0)]],
    ["layers in flexible mode", I | L | F, [0x92, 0x34, 0]],
    ["one reference", I | F | P, [0x12, 0x02]],
    ["three references", I | F | P, [0x12, 0x03, 0x05, 0x06]],
    ["sizes of two layers", V, [0x30, 1, 64, 0, 180, 2, 128, 1, 104]],
    ["picture group", V, [0x08, 2, 0x04, 1, 0x28, 1, 2]],
    ["an empty structure", V, [0x00]],
    ["all fields", I | L | V, [0x92, 0x34, ...layer(0), 0x18, 1, 64, 0, 180, 1, 0x04, 1]],
  ];
  for (const [name, flags, descriptor] of descriptors) {
    it(`reads a descriptor with ${name}, and refuses it cut off`, () => {
      const whole = payload(flags | B | E, descriptor, [KEY, 1, 2]);
      expect(vp9.startsFrame(whole, true)).to.equal(true);
      const frame = vp9.assemble([whole]);
      expect(frame?.data).to.deep.equal(Buffer.from([KEY, 1, 2]));
      expect(frame?.keyFrame).to.equal(true);
      for (let bytes = 0; bytes < descriptor.length + 1; bytes += 1) {
        expect(vp9.assemble([whole.subarray(0, bytes)])).to.equal(null);
      }
    });
  }

  it("refuses more references than the RFC allows", () => {
    const four = payload(I | F | P | B | E, [0x12, 0x03, 0x05, 0x07, 0x08], [INTER]);
    expect(vp9.assemble([four])).to.equal(null);
  });

  it("takes the frame's own word on key frames, in all profiles", () => {
    for (const [first, second, keyFrame] of [
      [0x80, 0, true],
      [0x84, 0, false],
      [0x88, 0, false], // an existing frame shown again
      [0xb0, 0, true], // profile 3 has a reserved bit
      [0xb2, 0, false],
      [0x00, 0, false], // no frame marker
    ] as const) {
      const frame = vp9.assemble([payload(B | E, [], [first, second])]);
      expect(frame?.keyFrame, first.toString(16)).to.equal(keyFrame);
    }
  });

  it("joins packets, and all spatial layers as one superframe", () => {
    const low = Buffer.alloc(300, 1);
    low[0] = KEY;
    const high = Buffer.alloc(70_000, 2);
    high[0] = INTER;
    const packets = [
      payload(I | L | B, [1, ...layer(0)], [...low.subarray(0, 200)]),
      payload(I | L | E, [1, ...layer(0)], [...low.subarray(200)]),
      payload(I | P | L | B, [1, ...layer(1)], [...high.subarray(0, 40_000)]),
      payload(I | P | L | E, [1, ...layer(1)], [...high.subarray(40_000)]),
    ];
    expect(packets.map((p) => vp9.startsFrame(p, true))).to.deep.equal([true, false, false, false]);
    const frame = vp9.assemble(packets);
    // Two frames with sizes of three bytes each.
    const index = [0xc0 | (2 << 3) | 1, 0x2c, 0x01, 0, 0x70, 0x11, 0x01, 0xc0 | (2 << 3) | 1];
    expect(frame?.data.equals(Buffer.concat([low, high, Buffer.from(index)]))).to.equal(true);
    expect(frame?.keyFrame).to.equal(true);
    expect(vp9.assemble(packets.slice(0, 2))?.data.equals(low)).to.equal(true);
  });

  it("refuses layers that are torn or out of order", () => {
    const low = payload(I | L | B | E, [1, ...layer(0)], [KEY]);
    const high = payload(I | L | B | E, [1, ...layer(1)], [INTER]);
    const open = payload(I | L | B, [1, ...layer(1)], [INTER]);
    const tail = payload(I | L | E, [1, ...layer(1)], [3]);
    expect(vp9.assemble([low, high])).not.to.equal(null);
    for (const torn of [[high, low], [low, low], [low, open], [low, tail], [tail], []]) {
      expect(vp9.assemble(torn)).to.equal(null);
    }
  });
});
