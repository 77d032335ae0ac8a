import { expect } from "chai";
import { createDepacketizer } from "../../../server/engine/process/rtp/depacketize.ts";
import { FrameAssembler } from "../../../server/engine/process/rtp/frame-assembler.ts";
import { packetizeH264 } from "../../../server/engine/process/rtp/h264-packetizer.ts";
import { H264ParameterSets } from "../../../server/engine/process/rtp/h264-parameter-sets.ts";
import { annexB, packet } from "./support/packets.ts";

/** Exp-Golomb codes one after the other, then a stop bit, as bytes. */
function codes(values: readonly number[]): number[] {
  const bits = values.map((value) => {
    const binary = (value + 1).toString(2);
    return "0".repeat(binary.length - 1) + binary;
  });
  const all = `${bits.join("")}1`;
  return (all.match(/.{1,8}/g) ?? []).map((byte) => Number.parseInt(byte.padEnd(8, "0"), 2));
}

const sps = (id: number, tail = 0x55) =>
  Buffer.from([0x67, 66, 0xc0, 30, ...codes([id, 0, 0, 0]), tail]);
const pps = (id: number, spsId: number, tail = 0x55) =>
  Buffer.from([0x68, ...codes([id, spsId, 0]), tail]);
const idr = (ppsId = 0, { bytes = 40, firstMacroblock = 0 } = {}) =>
  Buffer.from([0x65, ...codes([firstMacroblock, 7, ppsId]), ...Array(bytes).fill(0x33)]);
const slice = (ppsId = 0) => Buffer.from([0x41, ...codes([0, 5, ppsId]), 1, 2, 3, 4]);
const delimiter = Buffer.from([0x09, 0xf0]);

/** Sends units as RTP packets: `unit/marker` groups, each with a timestamp of its own. */
function setUp() {
  const drops: string[] = [];
  const assembler = new FrameAssembler({
    depacketizer: createDepacketizer("h264"),
    onDrop: (reason) => drops.push(reason),
  });
  let sequence = 0;
  let first = true;
  const send = (
    units: Buffer[],
    { marker = true, timestamp = sequence * 3000, gap = false, bytes = 1100 } = {},
  ): { data: Buffer; keyFrame: boolean }[] => {
    const payloads = packetizeH264(annexB(...units), bytes);
    return payloads.flatMap((payload, at) => {
      const afterGap = first || (gap && at === 0);
      first = false;
      sequence += 1;
      return assembler
        .push({
          packet: packet(sequence, {
            payload,
            timestamp,
            marker: marker && at === payloads.length - 1,
          }),
          afterGap,
        })
        .map(({ data, keyFrame }) => ({ data, keyFrame }));
    });
  };
  return { assembler, drops, send };
}

const SETS = [sps(0), pps(0, 0)];

describe("H.264 parameter sets apart from their picture", () => {
  for (const marker of [true, false]) {
    it(`are put before a bare IDR picture (marker on the sets: ${marker})`, () => {
      const { drops, send } = setUp();
      expect(send(SETS, { marker, timestamp: 0 })).to.deep.equal([]);
      const [frame] = send([idr()], { timestamp: 3000 });
      expect(frame).to.deep.equal({ data: annexB(...SETS, idr()), keyFrame: true });
      expect(drops).to.deep.equal([]);
    });
  }

  it("are known from then on, whether the picture is whole or fragmented", () => {
    const { send } = setUp();
    send([sps(0)], { timestamp: 0 });
    send([pps(0, 0)], { timestamp: 0 });
    send([idr()]);
    expect(send([slice()])).to.deep.equal([{ data: annexB(slice()), keyFrame: false }]);
    const large = idr(0, { bytes: 5000 });
    const [frame] = send([large]);
    expect(frame?.keyFrame).to.equal(true);
    expect(frame?.data.equals(annexB(...SETS, large))).to.equal(true);
  });

  it("a bare IDR picture without them is no key frame", () => {
    const { assembler, drops, send } = setUp();
    send([delimiter, idr()]);
    expect(send([idr()])).to.deep.equal([]);
    expect(send([sps(0)])).to.deep.equal([]);
    expect(send([idr()])).to.deep.equal([]);
    expect(send([pps(1, 0)])).to.deep.equal([]);
    expect(send([idr()])).to.deep.equal([]);
    expect(assembler.awaitingKeyFrame).to.equal(true);
    expect(new Set(drops)).to.deep.equal(new Set(["awaitingKeyFrame", "incompleteFrame"]));
    expect(send([idr(1)]).map(({ keyFrame }) => keyFrame)).to.deep.equal([true]);
  });

  it("where only the SPS is repeated, the PPS is added behind it", () => {
    const { send } = setUp();
    send([...SETS, idr()]);
    const [frame] = send([sps(0), idr()]);
    expect(frame?.keyFrame).to.equal(true);
    expect(frame?.data.equals(annexB(sps(0), pps(0, 0), sps(0), idr()))).to.equal(true);
  });

  it("newer ones take the place of older ones, also from a STAP-A", () => {
    const { send } = setUp();
    send(SETS);
    send([idr()]);
    const newer = [sps(0, 0x77), pps(0, 0, 0x77)];
    expect(packetizeH264(annexB(...newer)).length).to.equal(1);
    send(newer);
    expect(send([idr()])[0]?.data.equals(annexB(...newer, idr()))).to.equal(true);
  });

  it("only those of the picture are added, behind its delimiter", () => {
    const depacketizer = createDepacketizer("h264");
    for (const unit of [sps(0), sps(3), pps(0, 0), pps(9, 3)]) {
      expect(depacketizer.assemble([unit])?.noPicture).to.equal(true);
    }
    const frame = depacketizer.assemble([delimiter, idr(9), idr(9, { firstMacroblock: 60 })]);
    expect(
      frame?.data.equals(
        annexB(delimiter, sps(3), pps(9, 3), idr(9), idr(9, { firstMacroblock: 60 })),
      ),
    ).to.equal(true);
  });

  it("after a gap a bare IDR picture is a start only with such senders, and only from its first slice", () => {
    for (const apart of [true, false]) {
      const depacketizer = createDepacketizer("h264");
      if (apart) {
        SETS.map((unit) => depacketizer.assemble([unit]));
        depacketizer.assemble([idr()]);
      } else {
        depacketizer.assemble([...SETS, idr()]);
      }
      const [fragment] = packetizeH264(annexB(idr(0, { bytes: 3000 })));
      expect(depacketizer.startsFrame(idr(), true)).to.equal(apart);
      expect(depacketizer.startsFrame(fragment ?? Buffer.alloc(0), true)).to.equal(apart);
      expect(depacketizer.startsFrame(idr(0, { firstMacroblock: 60 }), true)).to.equal(false);
      expect(depacketizer.startsFrame(slice(), true)).to.equal(false);
      expect(depacketizer.startsFrame(sps(0), true)).to.equal(true);
    }
  });

  it("a stream of such a sender goes on after a loss", () => {
    const { drops, send } = setUp();
    send(SETS);
    send([idr()]);
    expect(send([slice()], { gap: true })).to.deep.equal([]);
    expect(send([idr(0, { bytes: 3000 })], { gap: true }).length).to.equal(1);
    expect(drops).to.deep.equal(["incompleteFrame"]);
  });

  it("are bounded in number and size", () => {
    const sets = new H264ParameterSets();
    for (let id = 0; id < 400; id += 1) {
      sets.addSps(sps(id));
      sets.addPps(pps(id, id % 32));
    }
    sets.addSps(Buffer.concat([sps(1), Buffer.alloc(5000, 1)]));
    expect(sets.bytes).to.be.below(32 * 16 + 256 * 16);
    expect(sets.neededFor(new Set([255]))?.length).to.equal(2);
    expect(sets.neededFor(new Set([256]))).to.equal(null);
  });
});
