import { expect } from "chai";
import { readIvf, readOggOpus } from "../../../loadtest/containers.ts";

function ivf(frames: Buffer[]): Buffer {
  const header = Buffer.alloc(32);
  header.write("DKIF");
  const parts = frames.map((frame) => {
    const head = Buffer.alloc(12);
    head.writeUInt32LE(frame.length);
    return Buffer.concat([head, frame]);
  });
  return Buffer.concat([header, ...parts]);
}

function oggPage(lacing: number[], body: Buffer): Buffer {
  const header = Buffer.alloc(27);
  header.write("OggS");
  header[26] = lacing.length;
  return Buffer.concat([header, Buffer.from(lacing), body]);
}

describe("load test: containers", () => {
  it("reads the frames of an IVF file and tells key frames by their first bit", () => {
    const frames = readIvf(ivf([Buffer.from([0x10, 1, 2]), Buffer.from([0x11])]));
    expect(frames.map((f) => [f.data.length, f.keyFrame])).to.deep.equal([
      [3, true],
      [1, false],
    ]);
  });

  it("refuses what is not IVF, and a file that ends inside a frame", () => {
    expect(() => readIvf(Buffer.from("RIFF".padEnd(40)))).to.throw('got "RIFF"');
    const cut = ivf([Buffer.alloc(100)]).subarray(0, 60);
    expect(() => readIvf(cut)).to.throw("expected a frame of 100 bytes, got 16");
  });

  it("joins Ogg segments into packets across pages and leaves the two headers out", () => {
    const long = Buffer.alloc(300, 7);
    const file = Buffer.concat([
      oggPage([8], Buffer.from("OpusHead")),
      oggPage([8], Buffer.from("OpusTags")),
      oggPage([255], long.subarray(0, 255)),
      oggPage([45, 2], Buffer.concat([long.subarray(255), Buffer.from([1, 2])])),
    ]);
    const packets = readOggOpus(file);
    expect(packets.map((p) => p.length)).to.deep.equal([300, 2]);
    expect(packets[0]?.equals(long)).to.equal(true);
  });

  it("refuses a page without its capture pattern", () => {
    expect(() => readOggOpus(Buffer.alloc(64))).to.throw("expected a page at 0");
  });
});
