import { expect } from "chai";
import { GenericNack, RtcpTransportLayerFeedback, RtpHeader, RtpPacket } from "werift-rtp";
import type { VideoCodec } from "../../../server/engine/process/native.ts";
import { createDepacketizer } from "../../../server/engine/process/rtp/depacketize.ts";
import { packetizeH264 } from "../../../server/engine/process/rtp/h264-packetizer.ts";
import { type InputFrame, InputStream } from "../../../server/engine/process/rtp/input-stream.ts";
import { parseRtcp } from "../../../server/engine/process/rtp/rtcp.ts";
import { packetizeVp8 } from "../../../server/engine/process/rtp/vp8-packetizer.ts";
import { ClockConverter } from "../../../server/engine/process/rtp/wall-clock.ts";
import { annexB, nal, vp8Frame } from "./support/packets.ts";

/** A small seeded generator (mulberry32): the same accidents in each run. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Accidents {
  loss: number;
  duplicates: number;
  reordering: number;
}

/** Sends 400 frames of 25 fps through a bad network; a key frame each second or when asked. */
function run(codec: VideoCodec, seed: number, { loss, duplicates, reordering }: Accidents) {
  const random = createRandom(seed);
  const sent = new Map<number, Buffer>();
  const received: InputFrame[] = [];
  const drops = new Map<string, number>();
  const repairs: number[] = [];
  let keyFrameAsked = true;
  const stream = new InputStream({
    sfuClock: new ClockConverter({ offsetMs: 1_790_000_000_000 }),
    ssrc: 1,
    codec,
    absCaptureTimeId: null,
    localSsrc: 2,
    sendRtcp: (packet) => {
      for (const { type, ...rest } of parseRtcp(packet)) {
        if (type === RtcpTransportLayerFeedback.type && "feedback" in rest) {
          repairs.push(...(rest.feedback instanceof GenericNack ? rest.feedback.lost : []));
        } else {
          keyFrameAsked = true;
        }
      }
    },
    onFrame: (frame) => received.push(frame),
    onDrop: (reason) => drops.set(reason, (drops.get(reason) ?? 0) + 1),
  });
  const history = new Map<number, RtpPacket>();
  let sequence = 65_000;
  const delayed: RtpPacket[] = [];
  for (let index = 0; index < 400; index += 1) {
    const unixMs = 1_790_000_000_000 + index * 40;
    const now = { monoMs: index * 40, unixMs };
    const keyFrame = keyFrameAsked || index % 25 === 0;
    keyFrameAsked = false;
    const bytes = 1 + Math.floor(random() * 4000);
    const data =
      codec === "vp8"
        ? vp8Frame(bytes + 10, keyFrame)
        : annexB(...(keyFrame ? [nal(7, 12), nal(8, 5), nal(5, bytes + 2)] : [nal(1, bytes + 2)]));
    sent.set(index, data);
    const payloads = codec === "vp8" ? packetizeVp8(data, index) : packetizeH264(data);
    const packets = payloads.map((payload, at) => {
      const header = new RtpHeader({
        sequenceNumber: sequence,
        timestamp: index * 3600,
        marker: at === payloads.length - 1,
        ssrc: 1,
        payloadType: 96,
      });
      sequence = (sequence + 1) & 0xffff;
      const packet = new RtpPacket(header, payload);
      history.set(header.sequenceNumber, packet);
      return packet;
    });
    // What was asked for comes again, as mediasoup would send it.
    const again = repairs.splice(0).flatMap((lost) => history.get(lost) ?? []);
    for (const packet of [...delayed.splice(0), ...again, ...packets]) {
      if (random() < loss) {
        continue;
      }
      if (random() < reordering) {
        delayed.push(packet);
        continue;
      }
      stream.onRtp(packet, now);
      if (random() < duplicates) {
        stream.onRtp(packet, now);
      }
    }
    stream.tick({ monoMs: now.monoMs + 20, unixMs: unixMs + 20 });
  }
  return { drops, received, sent };
}

describe("InputStream on a bad network", () => {
  for (const codec of ["vp8", "h264"] as const) {
    for (const seed of [1, 2, 3]) {
      it(`hands on whole ${codec} frames only, in order (seed ${seed})`, () => {
        const accidents = { loss: 0.08, duplicates: 0.05, reordering: 0.05 };
        const { drops, received, sent } = run(codec, seed, accidents);
        const originals = [...sent.values()];
        let from = 0;
        for (const frame of received) {
          const found = originals.findIndex((data, at) => at >= from && data.equals(frame.data));
          expect(found, "a frame that was not sent, or out of order").to.be.at.least(from);
          from = found + 1;
        }
        const times = received.map((frame) => frame.captureMonoMs);
        expect(times.every((time, at) => at === 0 || time > (times[at - 1] ?? 0))).to.equal(true);
        expect(received[0]?.keyFrame).to.equal(true);
        // Repairs and key frames keep most of the picture alive.
        expect(received.length).to.be.above(200);
        expect(drops.get("duplicatePacket") ?? drops.get("latePacket")).to.be.above(0);
      });
    }
  }

  it("repairs single losses without losing a frame", () => {
    const { received } = run("vp8", 7, { loss: 0.01, duplicates: 0, reordering: 0 });
    expect(received.length).to.be.at.least(396);
  });
});

describe("depacketisers on garbage", () => {
  for (const codec of ["vp8", "h264"] as const) {
    it(`throw nothing (${codec})`, () => {
      const random = createRandom(11);
      const depacketizer = createDepacketizer(codec);
      for (let round = 0; round < 2000; round += 1) {
        const payloads = Array.from({ length: 1 + Math.floor(random() * 3) }, () =>
          Buffer.from(Array.from({ length: Math.floor(random() * 12) }, () => random() * 256)),
        );
        for (const payload of payloads) {
          depacketizer.startsFrame(payload, round % 2 === 0);
        }
        const frame = depacketizer.assemble(payloads);
        expect(frame === null || frame.data.length > 0).to.equal(true);
      }
    });
  }
});
