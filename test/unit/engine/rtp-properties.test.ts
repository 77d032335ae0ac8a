import { expect } from "chai";
import fc from "fast-check";
import { RtpHeader, RtpPacket } from "werift-rtp";
import { createDepacketizer } from "../../../server/engine/process/rtp/depacketize.ts";
import { FrameAssembler } from "../../../server/engine/process/rtp/frame-assembler.ts";
import { InputStream } from "../../../server/engine/process/rtp/input-stream.ts";
import { JitterBuffer } from "../../../server/engine/process/rtp/jitter-buffer.ts";
import { ClockConverter } from "../../../server/engine/process/rtp/wall-clock.ts";
import { packet, released } from "./support/packets.ts";

const CODECS = ["vp8", "h264", "vp9", "av1"] as const;
const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));

describe("RTP from strangers", function () {
  this.timeout(60_000);

  for (const codec of CODECS) {
    it(`${codec}: whatever the bytes, a frame is no larger than they explain, and nothing throws`, () => {
      fc.assert(
        fc.property(fc.array(fc.array(bytes, { maxLength: 5 }), { maxLength: 8 }), (frames) => {
          const depacketizer = createDepacketizer(codec);
          for (const payloads of frames) {
            payloads.forEach((payload) => {
              depacketizer.startsFrame(payload, true);
              depacketizer.startsFrame(payload, false);
            });
            const frame = depacketizer.assemble(payloads);
            const all = frames.flat().reduce((sum, payload) => sum + payload.length, 0);
            expect(frame === null || frame.data.length <= 20 + 8 * all).to.equal(true);
          }
        }),
        { numRuns: 2000, seed: 5 },
      );
    });

    it(`${codec}: an assembler counts what it drops and never holds more than a frame`, () => {
      fc.assert(
        fc.property(
          fc.array(
            fc.record({
              payload: bytes,
              marker: fc.boolean(),
              timestamp: fc.nat(4),
              afterGap: fc.boolean(),
            }),
            { maxLength: 40 },
          ),
          (inputs) => {
            let dropped = 0;
            const assembler = new FrameAssembler({
              depacketizer: createDepacketizer(codec),
              onDrop: () => {
                dropped += 1;
              },
              maxFrameBytes: 100,
            });
            let frames = 0;
            inputs.forEach(({ afterGap, ...rest }, at) => {
              for (const next of released([packet(at, rest)], afterGap || at === 0)) {
                frames += assembler.push(next).length;
              }
            });
            expect(frames + dropped).to.be.at.most(2 * inputs.length);
          },
        ),
        { numRuns: 500, seed: 6 },
      );
    });
  }

  it("a jitter buffer keeps order, never gives a packet twice, and stays within its bounds", () => {
    const step = fc.record({
      sequence: fc.oneof(
        fc.nat(0xffff),
        fc.nat(60).map((near) => (65_500 + near) & 0xffff),
      ),
      afterMs: fc.nat(300),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const buffer = new JitterBuffer({ maxPackets: 16 });
        let nowMs = 0;
        let last: number | null = null;
        for (const { sequence, afterMs } of steps) {
          nowMs += afterMs;
          buffer.insert(packet(sequence), nowMs);
          expect(buffer.size).to.be.at.most(16);
          expect(buffer.missing().length).to.be.at.most(3001);
          expect(buffer.waitMs(nowMs)).to.be.within(200, 700);
          for (const { packet: next, afterGap } of buffer.release(nowMs)) {
            if (last !== null && !afterGap) {
              expect(next.sequence).to.equal((last + 1) & 0xffff);
            }
            last = next.sequence;
          }
        }
        // After the longest wait nothing is held any more.
        buffer.release(nowMs + 701);
        expect(buffer.size).to.equal(0);
      }),
      { numRuns: 500, seed: 7 },
    );
  });

  it("a stream of any timing gives capture times that grow and are not after the arrival", () => {
    const step = fc.record({
      passedMs: fc.nat(8000),
      rtpStep: fc.oneof(fc.nat(0xffffffff), fc.nat(9000)),
      wallStepMs: fc.oneof(fc.constant(0), fc.integer({ min: -4_000_000, max: 4_000_000 })),
      report: fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const times: number[] = [];
        let nowMs = 1000;
        const stream = new InputStream({
          sfuClock: new ClockConverter({ offsetMs: 1_790_000_000_000 }),
          ssrc: 1,
          codec: "vp8",
          absCaptureTimeId: null,
          localSsrc: 2,
          sendRtcp: () => undefined,
          onFrame: ({ captureMonoMs }) => {
            expect(captureMonoMs).to.be.at.most(nowMs + 2);
            expect(captureMonoMs).to.be.above(times.at(-1) ?? Number.NEGATIVE_INFINITY);
            times.push(captureMonoMs);
          },
          onDrop: () => undefined,
        });
        let rtp = 0;
        let wallMs = 0;
        steps.forEach(({ passedMs, rtpStep, wallStepMs, report }, at) => {
          nowMs += passedMs;
          wallMs += wallStepMs;
          rtp = (rtp + rtpStep) % 2 ** 32;
          const now = { monoMs: nowMs, unixMs: wallMs + nowMs };
          if (report !== null) {
            const senderInfo = { ntpTimestamp: report, rtpTimestamp: rtp };
            stream.onSenderReport(
              { senderInfo } as Parameters<typeof stream.onSenderReport>[0],
              now,
            );
          }
          const header = new RtpHeader({
            sequenceNumber: at,
            timestamp: rtp,
            marker: true,
            ssrc: 1,
            payloadType: 96,
          });
          stream.onRtp(new RtpPacket(header, Buffer.from([0x10, 0x10, 1, 2, 3])), now);
          stream.tick(now);
        });
        expect(times.length).to.equal(steps.length);
      }),
      { numRuns: 500, seed: 8 },
    );
  });
});
