/**
 * The whole way of the picture without browsers: a camera at a real mediasoup worker, the tap, a
 * real engine process with the real addon, and viewers of what comes back.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import path from "node:path";
import { expect } from "chai";
import { Registry } from "prom-client";
import type { RestyleSettings } from "../../server/domain/settings.ts";
import { createEngineMetrics } from "../../server/engine/metrics.ts";
import { EnginePool } from "../../server/engine/pool.ts";
import type { VideoCodec } from "../../server/engine/process/native.ts";
import { createLogger } from "../../server/telemetry/logger.ts";
import { TransformStage } from "../support/transform-stage.ts";
import { until } from "../support/wait.ts";
import { decodeFrames, meanDifference } from "./clips.ts";
import { CLIP_FRAMES, type ClipFrame, makeBarcodeClip, readBarcode } from "./support/barcode.ts";
import { type Publisher, TestSfu, type Viewer } from "./support/sfu.ts";

const SETTINGS: RestyleSettings = {
  mode: "restyle",
  prompt: "pass-through",
  strength: 0,
  steps: 1,
  seed: 0,
};
/** The camera's, and with it the generated pictures'. */
const WIDTH = 320;
const HEIGHT = 180;
const MODEL = path.resolve(import.meta.dirname, "../../models/drift-nano");

/** Without a model sessions pass frames through, with one they repaint. */
async function setUp(modelDir = "") {
  const logger = createLogger(process.env.DRIFTLESS_TEST_LOG ?? "silent");
  const engineMetrics = createEngineMetrics(new Registry());
  const pool = new EnginePool({
    metrics: engineMetrics,
    engines: [
      {
        engine: { modelDir, backend: "cpu", computeThreads: 1, maxSessions: 3 },
        logger,
        metrics: engineMetrics,
        restart: { firstDelayMs: 50 },
        // Tests share their machine with builds: what counts here is not how soon a hang is noticed.
        heartbeatLimitMs: 5000,
      },
    ],
  });
  const [engine] = pool.engines;
  if (engine === undefined) throw new Error("no engine");
  await pool.start();
  const sfu = await TestSfu.create();
  /** The engine's, of each session. */
  const enginePorts: number[] = [];
  const stage = new TransformStage({
    engine: pool,
    engineMetrics,
    places: 3,
    config: { bitrateBps: 500_000, lowLayerBitrateBps: 0, maxFps: 30, delayBudgetMs: 250 },
    toEngine: (settings) => (modelDir === "" ? { ...settings, mode: "passthrough" } : settings),
    createTap: async (_participant, options) => {
      const tap = await sfu.createTap(options);
      const connect = tap.connect.bind(tap);
      tap.connect = async (engineEnd) => {
        enginePorts.push(engineEnd.port);
        await connect(engineEnd);
      };
      return tap;
    },
  });
  const close = async () => {
    stage.close();
    await pool.close();
    sfu.close();
  };
  /** Puts a camera's transform on and watches it. */
  const transform = async (publisher: Publisher, settings = SETTINGS) => {
    const { id } = publisher.producer;
    // Nobody is shown the original: pictures that come are the engine's.
    const person = stage.join(id, { hideRoom: true, cameraId: id });
    await stage.set(person, settings);
    const viewer: Viewer = await sfu.view(person.generated?.id ?? "");
    return { person, viewer };
  };
  return { close, engine, engineMetrics, enginePorts, sfu, stage, transform };
}

type SetUp = Awaited<ReturnType<typeof setUp>>;

/** When the camera captured its frame with this number, the one nearest to `aboutMs`. */
function captureTimeOf({ captureTimes }: Publisher, number: number, aboutMs: number): number {
  const candidates = captureTimes.filter((_, index) => index % CLIP_FRAMES === number);
  const distances = candidates.map((time) => Math.abs(time - aboutMs));
  return candidates[distances.indexOf(Math.min(...distances))] ?? 0;
}

function meanPicture(pictures: readonly Buffer[]): Buffer {
  const size = pictures[0]?.length ?? 0;
  return Buffer.from(
    Array.from({ length: size }, (_, at) =>
      Math.round(pictures.reduce((sum, p) => sum + (p[at] ?? 0), 0) / pictures.length),
    ),
  );
}

describe("media loop through mediasoup and the engine", function () {
  this.timeout(120_000);
  const clips = {} as Record<VideoCodec, ClipFrame[]>;
  let larger: ClipFrame[];
  let tiny: ClipFrame[];
  let context: SetUp;

  before(() => {
    clips.vp8 = makeBarcodeClip("vp8", "320x180");
    clips.h264 = makeBarcodeClip("h264", "320x180");
    larger = makeBarcodeClip("h264", "640x480");
    tiny = makeBarcodeClip("vp8", "8x8");
  });

  beforeEach(async () => {
    context = await setUp();
  });

  afterEach(() => context.close());

  for (const codec of ["vp8", "h264"] as const) {
    it(`carries ${codec} through: it decodes, looks the same and keeps its capture times`, async () => {
      const { sfu, transform } = context;
      const publisher = await sfu.publish(codec, clips[codec]);
      const { viewer } = await transform(publisher);
      await until("frames and reports", () => viewer.frames.length >= 80 && viewer.reports >= 4);

      // A viewer that came early may have missed the very first packets.
      const frames = viewer.frames.slice(viewer.frames.findIndex((frame) => frame.keyFrame));
      expect(frames.length).to.be.at.least(40);
      const coded = frames.map((frame) => frame.data);
      const pictures = decodeFrames(codec, coded, WIDTH, HEIGHT);
      expect(pictures.length).to.equal(coded.length);

      // The barcode tells which frame of the camera a generated one was made from.
      const from = frames.length - 20;
      frames.slice(from).forEach((frame, index) => {
        const picture = pictures[from + index] ?? Buffer.alloc(0);
        const number = readBarcode(picture, WIDTH, HEIGHT);
        const claimedMs = viewer.captureTimeOf(frame);
        const trueMs = captureTimeOf(publisher, number, claimedMs);
        // Far nearer to when it was captured than to when it was sent.
        expect(Math.abs(claimedMs - trueMs)).to.be.below((frame.atMs - trueMs) / 2);
      });
      const timestamps = frames.map((frame) => frame.timestamp);
      const steps = timestamps.slice(1).map((time, index) => (time - (timestamps[index] ?? 0)) | 0);
      expect(Math.min(...steps)).to.be.above(0);
    });
  }

  it("answers a viewer's key frame request", async () => {
    const { sfu, transform } = context;
    const publisher = await sfu.publish("vp8", clips.vp8);
    const { viewer } = await transform(publisher);
    await until("frames", () => viewer.frames.length >= 20);
    const keyFramesAfter = (index: number) =>
      viewer.frames.slice(index).filter((frame) => frame.keyFrame).length;
    let asked = viewer.frames.length;
    viewer.sendPli();
    await until("a key frame for a PLI", () => keyFramesAfter(asked) > 0);
    await until("frames after it", () => viewer.frames.length > asked + 20);
    asked = viewer.frames.length;
    await viewer.requestKeyFrame();
    await until("a key frame for the SFU's request", () => keyFramesAfter(asked) > 0);
  });

  it("gives frames again on the same track after kill -9", async () => {
    const { engine, sfu, transform } = context;
    const publisher = await sfu.publish("h264", clips.h264);
    const { person, viewer } = await transform(publisher);
    await until("frames", () => viewer.frames.length >= 20);
    const producerId = person.generated?.id;
    process.kill(engine.pid ?? 0, "SIGKILL");
    await until("the notice", () => person.transform.state === "fallback");
    expect(person.transform.video).to.equal("generated");
    const before = viewer.frames.length;
    await until("frames again", () => viewer.frames.length >= before + 20);
    expect(person.generated?.id).to.equal(producerId);
    expect(viewer.frames[before]?.keyFrame).to.equal(true);
    const last = viewer.frames[before - 1];
    const next = viewer.frames[before];
    expect(((next?.timestamp ?? 0) - (last?.timestamp ?? 0)) >>> 0).to.be.within(1, 90 * 60_000);
    const coded = viewer.frames.slice(before).map((frame) => frame.data);
    const pictures = decodeFrames("h264", coded, WIDTH, HEIGHT);
    expect(pictures.length).to.equal(coded.length);
    await until("live again", () => person.transform.state === "live");
  });

  it("ignores strangers", async () => {
    const { engineMetrics, enginePorts, sfu, transform } = context;
    const publisher = await sfu.publish("vp8", clips.vp8);
    const { viewer } = await transform(publisher);
    await until("frames", () => viewer.frames.length >= 10);
    const stranger = createSocket("udp4");
    stranger.bind(0, "127.0.0.1");
    await once(stranger, "listening");
    for (let sequence = 0; sequence < 50; sequence += 1) {
      stranger.send(
        Buffer.from([0x80, 96, 0, sequence, 1, 2, 3, 4, 5, 6, 7, 8]),
        enginePorts[0],
        "127.0.0.1",
      );
    }
    const counted = async () =>
      (await engineMetrics.engineDrops.get()).values.find((v) => v.labels.reason === "stranger");
    let strangers = 0;
    const timer = setInterval(async () => {
      strangers = (await counted())?.value ?? 0;
    }, 100);
    await until("the count", () => strangers === 50);
    clearInterval(timer);
    stranger.close();
    const before = viewer.frames.length;
    await until("frames going on", () => viewer.frames.length > before + 10);
  });

  it("lets no garbage disturb others, and recovers from it", async () => {
    const { sfu, transform } = context;
    const good = await sfu.publish("vp8", clips.vp8);
    const bad = await sfu.publish("vp8", clips.vp8);
    const { person, viewer: goodViewer } = await transform(good);
    const { viewer: badViewer } = await transform(bad);
    await until("both", () => goodViewer.frames.length > 10 && badViewer.frames.length > 10);
    const noise = clips.vp8.map(({ data, keyFrame }) => ({
      keyFrame,
      data: Buffer.from(data.map((byte, index) => (index < 10 ? byte : (byte * 31 + index) & 255))),
    }));
    const cut = clips.vp8.map(({ data, keyFrame }) => ({ keyFrame, data: data.subarray(0, 12) }));
    for (const clip of [noise, cut, tiny]) {
      bad.play(clip);
      const before = goodViewer.frames.length;
      await until("the good one going on", () => goodViewer.frames.length > before + 20);
    }
    expect(person.transform.state).not.to.equal("fallback");
    const before = badViewer.frames.length;
    bad.play(clips.vp8);
    await until("the bad one coming back", () => badViewer.frames.length > before + 20);
  });

  it("follows a change of size and names a camera that stopped", async () => {
    const { sfu, transform } = context;
    const publisher = await sfu.publish("h264", clips.h264);
    const { person, viewer } = await transform(publisher);
    await until("frames", () => viewer.frames.length > 10);
    publisher.play(larger);
    const before = viewer.frames.length;
    await until("frames of another size", () => viewer.frames.length > before + 20);
    publisher.pause();
    await until("fallback", () => person.transform.state === "fallback");
    expect(person.transform.reason).to.equal("no video arrives from the camera");
    publisher.play(clips.h264);
    await until("live again", () => person.transform.state === "live");
  });
});

describe("media loop with the default model", function () {
  this.timeout(180_000);

  it("repaints, and changes the picture with the prompt without a cut", async () => {
    const { close, sfu, stage, transform } = await setUp(MODEL);
    const publisher = await sfu.publish("vp8", makeBarcodeClip("vp8", "320x180"));
    const { person, viewer } = await transform(publisher, {
      ...SETTINGS,
      prompt: "oil painting",
      strength: 1,
    });
    await until("repainted frames", () => viewer.frames.length >= 16, 90_000);
    const applied: { captureTimeMs: number; complete: boolean }[] = [];
    let revision = 0;
    stage.room.on("transformApplied", (_person, event) => {
      applied.push(event);
      revision = event.revision;
    });
    const winter = { ...SETTINGS, prompt: "frozen winter, icy blue", strength: 1 };
    await stage.set(person, winter);
    await until("the change", () => applied.length === 2, 90_000);
    expect(applied.map(({ complete }) => complete)).to.deep.equal([false, true]);
    expect(applied[1]?.captureTimeMs).to.be.greaterThan(applied[0]?.captureTimeMs ?? Infinity);
    const before = viewer.frames.length;
    await until("frames after it", () => viewer.frames.length >= before + 16, 90_000);
    expect(person.transform.revision).to.equal(revision);

    const frames = viewer.frames.slice(viewer.frames.findIndex((frame) => frame.keyFrame));
    expect(frames.filter((frame) => frame.keyFrame).length).to.equal(1);
    const coded = frames.map((frame) => frame.data);
    const pictures = decodeFrames("vp8", coded, WIDTH, HEIGHT);
    expect(pictures.length).to.equal(coded.length);
    const one = meanPicture(pictures.slice(4, 12));
    const other = meanPicture(pictures.slice(-8));
    expect(meanDifference(one, other)).to.be.above(4);
    await close();
  });
});
