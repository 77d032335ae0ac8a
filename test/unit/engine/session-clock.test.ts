import { expect } from "chai";
import { RtcpSrPacket } from "werift-rtp";
import { EngineHost } from "../../../server/engine/process/host.ts";
import { readAbsCaptureTime } from "../../../server/engine/process/rtp/abs-capture-time.ts";
import { ntpToUnixMs } from "../../../server/engine/process/rtp/ntp.ts";
import type { EngineMessage } from "../../../server/engine/protocol.ts";
import { until } from "../../support/wait.ts";
import { createEchoEngine } from "./support/echo-engine.ts";
import { SfuPeer } from "./support/sfu-peer.ts";

const START = { unixMs: Date.now(), monoMs: performance.now() };
const FRAME_MS = 40;
/** From capture to the engine. */
const WAY_MS = 60;

/**
 * A session whose machine's wall clock is `shiftMs` off, with a camera of 25 fps, and an SFU whose
 * own clock was taken once and is `sfuAheadMs` off.
 */
async function setUp({
  sfuAheadMs = 0,
  shiftMs = 0,
  timelineMs = undefined as number | undefined,
}) {
  const messages: EngineMessage[] = [];
  const wall = { shiftMs };
  const unix = (monoMs: number): number => START.unixMs + monoMs - START.monoMs;
  const host = new EngineHost({
    engine: createEchoEngine(),
    maxSessions: 1,
    clock: {
      now: () => {
        const monoMs = performance.now();
        return { monoMs, unixMs: unix(monoMs) + wall.shiftMs };
      },
    },
    onDeviceLost: () => undefined,
    send: (message) => messages.push(message),
  });
  const peer = await SfuPeer.create();
  const open = peer.openMessage("one");
  await host.handle({
    ...open,
    output: { ...open.output, ...(timelineMs === undefined ? {} : { timelineMs }) },
  });
  const opened = messages.find((message) => message.type === "sessionOpened");
  peer.connect(opened?.localPort ?? 0);
  let frames = 0;
  const rtpAt = (monoMs: number): number => Math.round((monoMs - START.monoMs + 1e6) * 90);
  const timer = setInterval(() => {
    const monoMs = performance.now();
    if (frames % 25 === 0) {
      peer.sendSenderReport(unix(monoMs) + sfuAheadMs, rtpAt(monoMs));
    }
    peer.sendFrame(rtpAt(monoMs - WAY_MS), { keyFrame: frames === 0, bytes: 500 });
    frames += 1;
  }, FRAME_MS);
  return {
    peer,
    wall,
    sfuUnix: (monoMs: number) => unix(monoMs) + sfuAheadMs,
    progress: () => messages.findLast((message) => message.type === "progress"),
    all: () => messages,
    close: async () => {
      clearInterval(timer);
      await host.close();
      peer.close();
    },
  };
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("EngineSession when wall clocks leap", function () {
  this.timeout(20_000);

  for (const leapMs of [-60_000, -3_600_000, 60_000]) {
    it(`goes on when its machine's clock is set by ${leapMs / 1000} s`, async () => {
      const session = await setUp({});
      await until("frames", () => (session.progress()?.framesOut ?? 0) > 20);
      const before = session.progress()?.framesOut ?? 0;
      session.wall.shiftMs = leapMs;
      await sleep(2000);
      const progress = session.progress();
      expect(progress?.delayMs?.p50).to.be.within(WAY_MS - 20, WAY_MS + 100);
      expect(progress?.delayMs?.p95).to.be.below(WAY_MS + 200);
      expect((progress?.framesOut ?? 0) - before).to.be.above(30);
      expectContinuous(session.peer);
      await session.close();
    });
  }

  for (const sfuAheadMs of [-3_600_000, 3_600_000]) {
    it(`understands an SFU whose clock is ${sfuAheadMs / 1000} s off`, async () => {
      const session = await setUp({ sfuAheadMs });
      await sleep(2000);
      expect(session.progress()?.delayMs?.p50).to.be.within(WAY_MS - 20, WAY_MS + 100);
      expectContinuous(session.peer);
      // The generated track's reports and capture times are told in the SFU's clock.
      const nowMs = session.sfuUnix(performance.now());
      const report = session.peer.rtcp.findLast((packet) => packet instanceof RtcpSrPacket);
      const toldMs = ntpToUnixMs(report?.senderInfo.ntpTimestamp ?? 0n);
      expect(toldMs).to.be.within(nowMs - 1500, nowMs + 20);
      const extension = session.peer.rtp.findLast((p) => p.header.extensions.length > 0);
      const payload = extension?.header.extensions[0]?.payload ?? Buffer.alloc(0);
      expect(readAbsCaptureTime(payload)).to.be.within(nowMs - 1500, nowMs);
      expect(session.progress()?.clockSteps).to.be.at.least(1);
      await session.close();
    });
  }

  it("tells people times by the clock on the wall", async () => {
    const session = await setUp({ shiftMs: 3_600_000 });
    const first = await until("the first frame", () =>
      session.all().find((message) => message.type === "firstFrame"),
    );
    const agoMs = Date.now() + 3_600_000 - first.captureTimeMs;
    expect(agoMs).to.be.within(0, 1000);
    await session.close();
  });

  it("carries the timeline of another process on, whatever the wall clock says", async () => {
    const timelineMs = START.unixMs + 12_345_678;
    const session = await setUp({ shiftMs: -3_600_000, timelineMs });
    const packets = await until("frames", () => session.peer.rtp.length > 10 && session.peer.rtp);
    const expected = (Math.round(timelineMs * 90) + 12_345) % 2 ** 32;
    const stepMs = ((packets[0]?.header.timestamp ?? 0) - expected) / 90;
    expect(stepMs).to.be.within(-WAY_MS - 100, 1000);
    expect(session.progress()?.timelineMs).to.be.within(timelineMs, timelineMs + 5000);
    await session.close();
  });
});

/** RTP timestamps that grow at the camera's pace: no viewer sees a clock leap. */
function expectContinuous(peer: SfuPeer): void {
  const times = peer.rtp.map(({ header }) => header.timestamp);
  const steps = times.slice(1).map((time, at) => (time - (times[at] ?? 0)) / 90);
  expect(Math.min(...steps)).to.be.at.least(0);
  expect(Math.max(...steps)).to.be.below(1000);
}
