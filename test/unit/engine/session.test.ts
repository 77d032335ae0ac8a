import { createSocket } from "node:dgram";
import { once } from "node:events";
import { expect } from "chai";
import {
  type GenericNack,
  PictureLossIndication,
  RtcpPayloadSpecificFeedback,
  RtcpReceiverInfo,
  RtcpRrPacket,
  RtcpSourceDescriptionPacket,
  RtcpSrPacket,
  RtcpTransportLayerFeedback,
  type RtpPacket,
} from "werift-rtp";
import { systemClock } from "../../../server/engine/process/clock.ts";
import { EngineHost } from "../../../server/engine/process/host.ts";
import { readAbsCaptureTime } from "../../../server/engine/process/rtp/abs-capture-time.ts";
import { createDepacketizer } from "../../../server/engine/process/rtp/depacketize.ts";
import { ntpToUnixMs } from "../../../server/engine/process/rtp/ntp.ts";
import { genericNack, pictureLossIndication } from "../../../server/engine/process/rtp/rtcp.ts";
import { rtpTimestampAt } from "../../../server/engine/process/rtp/sender-report.ts";
import type { EngineMessage } from "../../../server/engine/protocol.ts";
import { engineMessageSchema } from "../../../server/engine/protocol.ts";
import { until } from "../../support/wait.ts";
import { createEchoEngine } from "./support/echo-engine.ts";
import { CAMERA_SSRC, OUTPUT_SSRC, SfuPeer } from "./support/sfu-peer.ts";

type MessageOf<T extends EngineMessage["type"]> = Extract<EngineMessage, { type: T }>;

async function setUp({ maxSessions = 3 } = {}) {
  const messages: EngineMessage[] = [];
  const lost: string[] = [];
  const engine = createEchoEngine();
  const host = new EngineHost({
    engine,
    maxSessions,
    clock: systemClock,
    onDeviceLost: (message) => lost.push(message),
    send: (message) =>
      messages.push(engineMessageSchema.parse(JSON.parse(JSON.stringify(message)))),
  });
  const peer = await SfuPeer.create();
  const all = <T extends EngineMessage["type"]>(type: T): MessageOf<T>[] =>
    messages.filter((message): message is MessageOf<T> => message.type === type);
  const drops = () => all("progress").at(-1)?.drops ?? {};
  const open = async (sessionId = "one") => {
    await host.handle(peer.openMessage(sessionId));
    peer.connect(all("sessionOpened").at(-1)?.localPort ?? 0);
  };
  const close = async () => {
    await host.close();
    peer.close();
  };
  return { all, close, drops, engine, host, messages, open, peer };
}

type SetUp = Awaited<ReturnType<typeof setUp>>;

describe("EngineSession", () => {
  let context: SetUp;

  beforeEach(async () => {
    context = await setUp();
    await context.open();
  });

  afterEach(() => context.close());

  it("carries frames through on the capture timeline", async () => {
    const { all, peer } = context;
    const captureMs = Date.now() - 100;
    peer.sendSenderReport(captureMs + 100, 5000 + 9000);
    peer.sendFrame(5000, { keyFrame: true });
    peer.sendFrame(5000 + 3600);
    const packets = await until("two frames", () => peer.rtp.length >= 6 && peer.rtp);
    expect(packets.map((p) => p.header.sequenceNumber)).to.deep.equal([65_535, 0, 1, 2, 3, 4]);
    expect(packets.map((p) => p.header.marker)).to.deep.equal([
      false,
      false,
      true,
      false,
      false,
      true,
    ]);
    expect(new Set(packets.map((p) => p.header.ssrc))).to.deep.equal(new Set([OUTPUT_SSRC]));
    const expected = rtpTimestampAt(captureMs, 12_345);
    expect(packets[0]?.header.timestamp).to.be.closeTo(expected, 1);
    expect(packets[3]?.header.timestamp).to.be.closeTo(expected + 3600, 1);
    const carried = packets[0]?.header.extensions.find((extension) => extension.id === 10);
    expect(readAbsCaptureTime(carried?.payload ?? Buffer.alloc(0))).to.be.closeTo(captureMs, 1);
    expect(packets.slice(1).every((p) => p.header.extensions.length === 0)).to.equal(true);
    const frame = createDepacketizer("vp8").assemble(packets.slice(0, 3).map((p) => p.payload));
    expect(frame?.data.length).to.equal(2500);
    expect(all("firstFrame").length).to.equal(1);
    expect(all("applied")[0]?.revision).to.equal(1);
  });

  it("sends truthful sender reports early, with its CNAME and news of the camera's stream", async () => {
    const { peer } = context;
    peer.sendFrame(5000, { keyFrame: true });
    const reports = await until("three sender reports", () => {
      const found = peer.rtcp.filter((packet) => packet instanceof RtcpSrPacket);
      return found.length >= 3 && found;
    });
    for (const { senderInfo } of reports) {
      const saidMs = ntpToUnixMs(senderInfo.ntpTimestamp);
      expect(senderInfo.rtpTimestamp).to.be.closeTo(rtpTimestampAt(saidMs, 12_345), 1);
    }
    expect(reports.some((r) => r.reports[0]?.ssrc === CAMERA_SSRC)).to.equal(true);
    const names = peer.rtcp.filter((packet) => packet instanceof RtcpSourceDescriptionPacket);
    expect(names[0]?.chunks[0]?.items[0]?.text).to.equal("camera");
  });

  it("asks for a key frame until one comes", async () => {
    const { peer } = context;
    const losses = () =>
      peer.rtcp.filter(
        (packet) =>
          packet instanceof RtcpPayloadSpecificFeedback &&
          packet.feedback instanceof PictureLossIndication &&
          packet.feedback.mediaSsrc === CAMERA_SSRC,
      ).length;
    peer.sendFrame(5000);
    await until("a repeated request", () => losses() >= 2);
    expect(peer.rtp.length).to.equal(0);
    peer.sendFrame(8600, { keyFrame: true });
    await until("the frame", () => peer.rtp.length > 0);
  });

  it("asks for lost packets and goes on with the next key frame when they do not come", async () => {
    const { drops, peer } = context;
    peer.sendFrame(0, { keyFrame: true });
    peer.sendFrame(3600, { skip: [1] });
    const nack = await until("a NACK", () =>
      peer.rtcp.find((packet) => packet instanceof RtcpTransportLayerFeedback),
    );
    expect((nack.feedback as GenericNack).lost).to.deep.equal([65_534]);
    peer.sendFrame(7200);
    await until("the gap given up", () => (drops().incompleteFrame ?? 0) > 0);
    const before = peer.rtp.length;
    peer.sendFrame(10_800, { keyFrame: true });
    await until("the next key frame", () => peer.rtp.length >= before + 3);
  });

  it("drops what is not its stream and counts it by reason", async () => {
    const { drops, peer } = context;
    peer.sendFrame(0, { ssrc: 99 });
    peer.sendFrame(0, { payloadType: 96 });
    peer.send(Buffer.from([0x80]));
    peer.send(Buffer.from([0x80, 200, 0, 9, 1]));
    const stranger = createSocket("udp4");
    stranger.bind(0, "127.0.0.1");
    await once(stranger, "listening");
    const { localPort } = context.all("sessionOpened")[0] ?? { localPort: 0 };
    stranger.send(Buffer.from([0x80, 101, 0, 1]), localPort, "127.0.0.1");
    await until("all counters", () => {
      const { stranger: strangers, unknownSsrc, unknownPayloadType, malformedPacket } = drops();
      return (
        strangers === 1 && unknownSsrc === 3 && unknownPayloadType === 3 && malformedPacket === 2
      );
    });
    stranger.close();
    expect(peer.rtp.length).to.equal(0);
    peer.sendFrame(0, { keyFrame: true });
    await until("frames go on", () => peer.rtp.length > 0);
    expect(drops().inputFull).to.equal(2);
    expect(drops()).not.to.have.property("aboveRate");
  });

  it("passes key frame requests on, coalesced", async () => {
    const { engine, peer } = context;
    for (let i = 0; i < 5; i += 1) {
      peer.send(pictureLossIndication(1, OUTPUT_SSRC));
    }
    peer.send(pictureLossIndication(1, 4242));
    await until("a request", () => (engine.sessions[0]?.keyFrameRequests ?? 0) > 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(engine.sessions[0]?.keyFrameRequests).to.equal(1);
  });

  it("sends packets again that a receiver misses", async () => {
    const { peer } = context;
    peer.sendFrame(0, { keyFrame: true });
    await until("the frame", () => peer.rtp.length === 3);
    await new Promise((resolve) => setTimeout(resolve, 50));
    peer.send(genericNack(1, OUTPUT_SSRC, [65_536]));
    const repeated: RtpPacket[] = await until("the packet", () => peer.rtp.length > 3 && peer.rtp);
    expect(repeated[3]?.header.sequenceNumber).to.equal(0);
    expect(repeated[3]?.payload.equals(repeated[1]?.payload ?? Buffer.alloc(0))).to.equal(true);
  });

  it("lowers the bitrate on loss", async () => {
    const { engine, peer } = context;
    const report = new RtcpReceiverInfo({
      ssrc: OUTPUT_SSRC,
      fractionLost: 128,
      packetsLost: 5,
      highestSequence: 1,
      jitter: 0,
      lsr: 0,
      dlsr: 0,
    });
    peer.send(new RtcpRrPacket({ ssrc: 1, reports: [report] }).serialize());
    await until("a lower target", () => engine.sessions[0]?.bitrates[0] === 425_000);
  });

  it("translates revisions and forwards the decoder's wishes", async () => {
    const { all, engine, host, peer } = context;
    peer.sendFrame(0, { keyFrame: true });
    await until("the first frame", () => all("firstFrame").length === 1);
    const { transform } = peer.openMessage("x");
    await host.handle({ type: "setTransform", sessionId: "one", revision: 7, transform });
    peer.sendFrame(3600);
    await until("the change", () => all("applied").filter((m) => m.revision === 7).length === 2);
    expect(all("applied").slice(-2)).to.deep.equal(
      [false, true].map((complete) => ({ ...all("applied").at(-1), complete })),
    );
    engine.sessions[0]?.emit({ type: "needKeyFrame", reason: "decoder error" });
    await until("a PLI", () =>
      peer.rtcp.some((packet) => packet instanceof RtcpPayloadSpecificFeedback),
    );
  });

  it("says what the engine's scheduler gives, and is degraded with its reason", async () => {
    const { all, engine, peer } = context;
    const stop = peer.startCamera();
    await until("a live session", () => all("sessionState").some((m) => m.state === "live"));
    const change = { level: "fewerSteps", cause: "overload", steps: 2, rate: 1 } as const;
    engine.sessions[0]?.emit({ type: "level", direction: "down", ...change });
    await until("the state", () => all("sessionState").at(-1)?.state === "degraded");
    stop();
    const { sessionId, ...level } = all("level")[0] ?? { sessionId: "" };
    expect(sessionId).to.equal("one");
    expect(level).to.deep.equal({ type: "level", direction: "down", ...change });
    expect(all("sessionState").at(-1)).to.include({ cause: "engine" });
    expect(all("sessionState").at(-1)?.reason).to.contain("fewer steps");
  });

  it("reports delay, rates and the numbers to carry on from", async () => {
    const { all, peer } = context;
    const stop = peer.startCamera();
    const progress = await until("progress with a delay", () =>
      all("progress").find((m) => m.framesOut > 10 && m.delayMs !== null),
    );
    stop();
    expect(progress.delayMs?.p50).to.be.within(0, progress.delayMs?.p95 ?? 0);
    expect(progress.framesIn).to.be.at.least(progress.framesOut);
    expect(progress.stageMs.compute).to.equal(5);
    expect(progress.batchMs).to.deep.equal({ measured: 5, expected: 5 });
    expect(progress.deadlines).to.include({ waited: 0, slow: 1 });
    const last = (progress.nextSequence + 0xffff) & 0xffff;
    await until("the last packet", () => peer.rtp.some((p) => p.header.sequenceNumber === last));
    expect(all("sessionState").map((m) => m.state)).to.include("live");
  });
});

describe("EngineHost", () => {
  it("refuses a second session of the same id, one too many, and a taken port", async () => {
    const { all, close, host, open, peer } = await setUp({ maxSessions: 2 });
    await open("one");
    await host.handle(peer.openMessage("one"));
    const { localPort } = all("sessionOpened")[0] ?? { localPort: 0 };
    await host.handle(peer.openMessage("two", { localPort }));
    await host.handle(peer.openMessage("three"));
    await host.handle(peer.openMessage("four"));
    const errors = all("sessionError");
    expect(errors.map((m) => m.sessionId)).to.deep.equal(["one", "two", "four"]);
    expect(errors[1]?.message).to.contain("EADDRINUSE");
    expect(errors[2]?.message).to.contain("all 2 places");
    expect(host.sessionCount).to.equal(2);
    await close();
  });

  it("lets go of everything when the engine refuses a session or a session breaks", async () => {
    const { all, close, engine, host, peer, open } = await setUp();
    const { transform } = peer.openMessage("x");
    await host.handle(peer.openMessage("one", { transform: { ...transform, prompt: "refuse" } }));
    expect(all("sessionError")[0]?.message).to.equal("expected another prompt than refuse");
    expect(host.sessionCount).to.equal(0);
    await open("two");
    engine.sessions[0]?.emit({ type: "error", message: "broken", fatal: true });
    await until("the end", () => engine.sessions[0]?.closed);
    expect(host.sessionCount).to.equal(0);
    await close();
  });

  it("logs messages that it does not understand, and closes on request", async () => {
    const { all, close, engine, host, open } = await setUp();
    await open("one");
    await host.handle({ type: "dance" });
    await host.handle({ type: "closeSession", sessionId: "nobody" });
    await host.handle({ type: "closeSession", sessionId: "one" });
    expect(all("log").map((m) => m.level)).to.deep.equal(["error", "debug"]);
    expect(engine.sessions[0]?.closed).to.equal(true);
    expect(all("sessionState").at(-1)?.state).to.equal("stopped");
    await close();
  });
});
