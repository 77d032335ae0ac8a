import { expect } from "chai";
import { createDepacketizer } from "../../../server/engine/process/rtp/depacketize.ts";
import { packetizeH264, splitAnnexB } from "../../../server/engine/process/rtp/h264-packetizer.ts";
import { packetizeVp8 } from "../../../server/engine/process/rtp/vp8-packetizer.ts";
import { annexB, nal, vp8Frame } from "./support/packets.ts";

describe("VP8 packetiser and depacketiser", () => {
  const depacketizer = createDepacketizer("vp8");

  for (const bytes of [1, 1100, 1101, 5000, 60_000]) {
    it(`carries a frame of ${bytes} bytes through`, () => {
      const frame = vp8Frame(bytes, true);
      const payloads = packetizeVp8(frame, 0x7fff);
      expect(payloads.length).to.equal(Math.ceil(bytes / 1100));
      expect(Math.max(...payloads.map((p) => p.length))).to.be.at.most(1104);
      expect(payloads.map((p) => depacketizer.startsFrame(p, true))).to.deep.equal(
        payloads.map((_, index) => index === 0),
      );
      const joined = depacketizer.assemble(payloads);
      expect(joined?.keyFrame).to.equal(true);
      expect(joined?.data.equals(frame)).to.equal(true);
    });
  }

  it("tells key frames from others", () => {
    const payloads = packetizeVp8(vp8Frame(2500, false), 5);
    expect(depacketizer.assemble(payloads)?.keyFrame).to.equal(false);
  });

  it("writes a 15-bit picture id", () => {
    const [payload] = packetizeVp8(vp8Frame(10, true), 0x1234);
    expect([...(payload?.subarray(0, 4) ?? [])]).to.deep.equal([0x90, 0x80, 0x92, 0x34]);
  });

  it("reads descriptors with and without each optional field", () => {
    const frame = vp8Frame(20, true);
    const descriptors = [
      [0x10],
      [0x90, 0x80, 0x05],
      [0x90, 0x80, 0x81, 0x05],
      [0x90, 0xe0, 0x81, 0x05, 0x07, 0x20],
      [0x90, 0xf0, 0x81, 0x05, 0x07, 0x21],
      [0x90, 0x20, 0x20],
      [0x90, 0x10, 0x01],
    ];
    for (const descriptor of descriptors) {
      const joined = depacketizer.assemble([Buffer.concat([Buffer.from(descriptor), frame])]);
      expect(joined?.data.equals(frame), descriptor.join(" ")).to.equal(true);
    }
  });

  it("refuses what is no frame", () => {
    const [first, second] = packetizeVp8(vp8Frame(2000, true), 1) as [Buffer, Buffer];
    expect(depacketizer.assemble([second])).to.equal(null);
    expect(depacketizer.assemble([first, first])).to.equal(null);
    expect(depacketizer.assemble([])).to.equal(null);
    for (const bytes of [[], [0x90], [0x90, 0x80], [0x90, 0x80, 0x80], [0x90, 0xf0, 0x80, 0x01]]) {
      expect(depacketizer.assemble([Buffer.from(bytes)]), bytes.join(" ")).to.equal(null);
    }
  });
});

describe("H.264 packetiser and depacketiser", () => {
  const depacketizer = createDepacketizer("h264");
  const SPS = nal(7, 20);
  const PPS = nal(8, 6);

  it("puts parameter sets into one STAP-A and a large picture into fragments", () => {
    const unit = annexB(SPS, PPS, nal(5, 5000));
    const payloads = packetizeH264(unit);
    expect((payloads[0]?.[0] ?? 0) & 0x1f).to.equal(24);
    expect(payloads.slice(1).every((p) => ((p[0] ?? 0) & 0x1f) === 28)).to.equal(true);
    expect(Math.max(...payloads.map((p) => p.length))).to.be.at.most(1100);
    const joined = depacketizer.assemble(payloads);
    expect(joined?.keyFrame).to.equal(true);
    expect(joined?.data.equals(unit)).to.equal(true);
  });

  for (const bytes of [2, 1100, 1101, 1102, 30_000]) {
    it(`carries a slice of ${bytes} bytes through`, () => {
      const unit = annexB(nal(1, bytes));
      const joined = depacketizer.assemble(packetizeH264(unit));
      expect(joined?.keyFrame).to.equal(false);
      expect(joined?.data.equals(unit)).to.equal(true);
    });
  }

  it("leaves delimiters and filler out and takes 3-byte start codes", () => {
    const short = Buffer.concat([
      Buffer.from([0, 0, 1, 0x09, 0xf0, 0, 0, 1]),
      nal(12, 9),
      Buffer.from([0, 0, 0, 1]),
      nal(5, 30),
    ]);
    expect(splitAnnexB(short).map((unit) => (unit[0] ?? 0) & 0x1f)).to.deep.equal([9, 12, 5]);
    expect(depacketizer.assemble(packetizeH264(short))?.data.equals(annexB(nal(5, 30)))).to.equal(
      true,
    );
  });

  it("does not take a slice for a key frame because of its second byte", () => {
    const slice = nal(1, 40);
    slice[1] = 0x65;
    expect(depacketizer.assemble([slice])?.keyFrame).to.equal(false);
  });

  it("starts frames only where one can start", () => {
    const [first, second] = packetizeH264(annexB(nal(5, 3000))) as [Buffer, Buffer];
    expect(depacketizer.startsFrame(first, false)).to.equal(true);
    expect(depacketizer.startsFrame(second, false)).to.equal(false);
    expect(depacketizer.startsFrame(SPS, false)).to.equal(true);
    expect(depacketizer.startsFrame(first, true), "parameter sets may be lost").to.equal(false);
    const [parameterSets] = packetizeH264(annexB(SPS, PPS, nal(5, 3000))) as [Buffer];
    expect(depacketizer.startsFrame(parameterSets, true)).to.equal(true);
    expect(depacketizer.startsFrame(SPS, true)).to.equal(true);
    expect(depacketizer.startsFrame(Buffer.alloc(0), false)).to.equal(false);
  });

  it("refuses fragments that do not belong together and broken aggregates", () => {
    const [first, second, third] = packetizeH264(annexB(nal(5, 3000))) as [Buffer, Buffer, Buffer];
    expect(depacketizer.assemble([first, second, third])).not.to.equal(null);
    expect(depacketizer.assemble([first, second])).to.equal(null);
    expect(depacketizer.assemble([second, third])).to.equal(null);
    expect(depacketizer.assemble([first, nal(1, 10)])).to.equal(null);
    const stap = Buffer.concat([Buffer.from([0x78, 0, 200]), SPS]);
    expect(depacketizer.assemble([stap])).to.equal(null);
    expect(depacketizer.assemble([Buffer.from([0x7d, 1, 2])])).to.equal(null);
    expect(depacketizer.assemble([Buffer.from([0x65])])).to.equal(null);
  });
});
