import { expect } from "chai";
import { createDepacketizer } from "../../../server/engine/process/rtp/depacketize.ts";
import type { AssembledFrame } from "../../../server/engine/process/rtp/frame-assembler.ts";
import { FrameAssembler } from "../../../server/engine/process/rtp/frame-assembler.ts";
import { KeyFrameRequester } from "../../../server/engine/process/rtp/key-frame-requester.ts";
import { packetizeVp8 } from "../../../server/engine/process/rtp/vp8-packetizer.ts";
import { framePackets, packet, released, vp8Frame } from "./support/packets.ts";

function setUp() {
  const drops: string[] = [];
  const assembler = new FrameAssembler({
    depacketizer: createDepacketizer("vp8"),
    onDrop: (reason) => drops.push(reason),
    maxFrameBytes: 20_000,
  });
  let sequence = 0;
  let timestamp = 0;
  const packetsOf = (bytes: number, keyFrame: boolean) => {
    const packets = framePackets(packetizeVp8(vp8Frame(bytes, keyFrame), 1), sequence, timestamp);
    sequence += packets.length;
    timestamp += 3000;
    return packets;
  };
  const push = (packets: ReturnType<typeof packetsOf>, afterGap = false): AssembledFrame[] =>
    released(packets, afterGap).flatMap((r) => assembler.push(r));
  return { assembler, drops, packetsOf, push };
}

describe("FrameAssembler", () => {
  it("begins with a key frame", () => {
    const { assembler, drops, packetsOf, push } = setUp();
    expect(push(packetsOf(3000, false), true)).to.deep.equal([]);
    expect(drops).to.deep.equal(["awaitingKeyFrame"]);
    expect(assembler.awaitingKeyFrame).to.equal(true);
    expect(push(packetsOf(3000, true)).map((f) => f.keyFrame)).to.deep.equal([true]);
    expect(push(packetsOf(200, false)).map((f) => f.data.length)).to.deep.equal([200]);
    expect(assembler.awaitingKeyFrame).to.equal(false);
  });

  it("drops the torn frame after a loss and all others up to the next key frame", () => {
    const { drops, packetsOf, push } = setUp();
    push(packetsOf(500, true), true);
    const torn = packetsOf(3000, false);
    push(torn.slice(0, 1));
    expect(push(torn.slice(2), true)).to.deep.equal([]);
    expect(push(packetsOf(500, false))).to.deep.equal([]);
    expect(push(packetsOf(500, true)).length).to.equal(1);
    expect(drops).to.deep.equal(["incompleteFrame", "incompleteFrame", "awaitingKeyFrame"]);
  });

  it("lets padding pass by", () => {
    const { drops, packetsOf, push } = setUp();
    const frame = packetsOf(2500, true);
    const padding = packet(999, { payload: Buffer.alloc(0), timestamp: 77 });
    const [first, ...rest] = frame;
    expect(push([...(first ? [first] : []), padding, ...rest, padding]).length).to.equal(1);
    expect(drops).to.deep.equal([]);
  });

  it("finishes a frame without marker when the next one starts", () => {
    const { packetsOf, push } = setUp();
    const unmarked = packetsOf(2500, true).map((p) => ({ ...p, marker: false }));
    expect(push(unmarked)).to.deep.equal([]);
    expect(push(packetsOf(100, false)).map((f) => f.data.length)).to.deep.equal([2500, 100]);
  });

  it("counts garbage and asks for a key frame after it", () => {
    const { assembler, drops, packetsOf, push } = setUp();
    push(packetsOf(500, true), true);
    const [good] = packetsOf(500, false);
    push([packet(5, { payload: Buffer.from([0x90]), timestamp: 5, marker: true })]);
    expect(drops).to.deep.equal(["incompleteFrame"]);
    expect(assembler.awaitingKeyFrame).to.equal(true);
    expect(push(good ? [good] : [])).to.deep.equal([]);
  });

  it("refuses a frame of too many tiny packets", () => {
    const { drops, push } = setUp();
    const [first] = packetizeVp8(vp8Frame(10, true), 1);
    push([packet(0, { payload: first ?? Buffer.alloc(0), timestamp: 9 })], true);
    for (let sequence = 1; sequence < 8300; sequence += 1) {
      push([packet(sequence, { payload: Buffer.from([0, 1]), timestamp: 9 })]);
    }
    expect(drops).to.deep.equal(["tooLarge"]);
  });

  it("refuses a frame that never ends", () => {
    const { drops, packetsOf, push } = setUp();
    expect(push(packetsOf(30_000, true), true)).to.deep.equal([]);
    expect(drops).to.deep.equal(["tooLarge"]);
    expect(push(packetsOf(500, true)).length).to.equal(1);
  });
});

describe("KeyFrameRequester", () => {
  it("asks at once, then patiently until satisfied", () => {
    const requester = new KeyFrameRequester({ minIntervalMs: 300, repeatMs: 1000 });
    expect(requester.due(0)).to.equal(null);
    requester.request("loss");
    expect(requester.due(10)).to.equal("loss");
    requester.request("again");
    expect(requester.due(400)).to.equal(null);
    expect(requester.due(1010)).to.equal("loss");
    requester.satisfied();
    expect(requester.due(5000)).to.equal(null);
  });

  it("keeps a distance between wishes", () => {
    const requester = new KeyFrameRequester({ minIntervalMs: 300 });
    requester.request("one");
    requester.due(0);
    requester.satisfied();
    requester.request("two");
    expect(requester.due(100)).to.equal(null);
    expect(requester.due(300)).to.equal("two");
  });
});
