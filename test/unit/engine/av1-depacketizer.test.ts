import { expect } from "chai";
import { createDepacketizer } from "../../../server/engine/process/rtp/depacketize.ts";
import { leb128, packetizeAv1 } from "./support/av1-packets.ts";

const obu = (type: number, body: number[] | Buffer, extension?: number): Buffer =>
  Buffer.concat([
    Buffer.from(extension === undefined ? [type << 3] : [(type << 3) | 4, extension]),
    Buffer.from(body),
  ]);
const sized = (unit: Buffer): Buffer => {
  const headerBytes = ((unit[0] ?? 0) & 4) === 0 ? 1 : 2;
  const header = Buffer.from(unit.subarray(0, headerBytes));
  header[0] = (header[0] ?? 0) | 2;
  return Buffer.concat([header, leb128(unit.length - headerBytes), unit.subarray(headerBytes)]);
};
const DELIMITER = Buffer.from([0x12, 0]);
const sequence = obu(1, [0x00, 0x01, 0x02]);
const key = obu(6, [0x10, 9, 9]); // shown, frame_type 0
const inter = obu(6, [0x30, 8, 8]); // frame_type 1
const unit = (...obus: Buffer[]): Buffer => Buffer.concat([DELIMITER, ...obus.map(sized)]);

describe("AV1 depacketiser", () => {
  for (const counted of [true, false]) {
    it(`joins elements and fragments (${counted ? "counted" : "with sizes"})`, () => {
      const frame = obu(6, Buffer.concat([Buffer.from([0x10]), Buffer.alloc(5000, 7)]));
      const whole = unit(sequence, obu(5, [1, 2, 3]), frame);
      for (const maxBytes of [60, 1200, 10_000]) {
        const payloads = packetizeAv1(whole, maxBytes, counted);
        const depacketizer = createDepacketizer("av1");
        const joined = depacketizer.assemble(payloads);
        expect(joined?.data.equals(whole)).to.equal(true);
        expect(joined?.keyFrame).to.equal(true);
        expect(payloads.map((p) => depacketizer.startsFrame(p, true))).to.deep.equal(
          payloads.map((_, at) => at === 0),
        );
        if (payloads.length > 2) {
          expect(depacketizer.assemble(payloads.slice(1))).to.equal(null);
          expect(depacketizer.assemble(payloads.slice(0, -1))).to.equal(null);
        }
      }
    });
  }

  it("leaves delimiters, tile lists and padding out, and keeps layers with their extension", () => {
    const low = obu(6, [0x10, 1], 0x00);
    const high = obu(6, [0x30, 2], 0x08);
    const elements = [obu(2, []), sequence, low, high, obu(8, [1]), obu(15, [0, 0])];
    const payload = Buffer.concat([
      Buffer.from([0x08]),
      ...elements.flatMap((element) => [leb128(element.length), element]),
    ]);
    const frame = createDepacketizer("av1").assemble([payload]);
    expect(frame?.data.equals(unit(sequence, low, high))).to.equal(true);
    expect(frame?.keyFrame).to.equal(true);
  });

  it("takes OBUs that have sizes of their own", () => {
    const frame = createDepacketizer("av1").assemble([
      Buffer.concat([
        Buffer.from([0x28]),
        leb128(sized(sequence).length),
        sized(sequence),
        sized(key),
      ]),
    ]);
    expect(frame?.data.equals(unit(sequence, key))).to.equal(true);
  });

  it("puts the sequence header before a key frame without one; unknown, it is no key frame", () => {
    const depacketizer = createDepacketizer("av1");
    const bare = Buffer.concat([Buffer.from([0x10]), key]);
    expect(depacketizer.assemble([bare])?.keyFrame).to.equal(false);
    const apart = depacketizer.assemble([Buffer.concat([Buffer.from([0x18]), sequence])]);
    expect(apart?.noPicture).to.equal(true);
    const frame = depacketizer.assemble([bare]);
    expect(frame?.keyFrame).to.equal(true);
    expect(frame?.data.equals(unit(sequence, key))).to.equal(true);
    const next = depacketizer.assemble([Buffer.concat([Buffer.from([0x10]), inter])]);
    expect(next).to.deep.equal({ data: unit(inter), keyFrame: false });
  });

  it("begins after a gap only where a coded video sequence does", () => {
    const depacketizer = createDepacketizer("av1");
    expect(depacketizer.startsFrame(Buffer.from([0x10, 0x30]), true)).to.equal(false);
    expect(depacketizer.startsFrame(Buffer.from([0x10, 0x30]), false)).to.equal(true);
    expect(depacketizer.startsFrame(Buffer.from([0x90, 0x30]), false)).to.equal(false);
    expect(depacketizer.startsFrame(Buffer.from([]), false)).to.equal(false);
  });

  it("refuses sizes that do not add up", () => {
    for (const bytes of [
      [0x00],
      [0x10],
      [0x00, 5, 0x30],
      [0x00, 0],
      [0x20, 1, 0x30],
      [0x00, 0x80],
      [0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x30],
      [0x10, 0xb0, 1], // forbidden bit
      [0x10, 0x34], // extension cut off
      [0x10, 0x32, 9, 1], // inner size too large
    ]) {
      const frame = createDepacketizer("av1").assemble([Buffer.from(bytes)]);
      expect(frame, bytes.join(" ")).to.equal(null);
    }
  });
});
