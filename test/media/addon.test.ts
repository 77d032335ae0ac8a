/** The native addon as the engine process uses it: real encoded frames in, real frames out. */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import {
  loadNativeEngine,
  type NativeEngine,
  type VideoCodec,
} from "../../server/engine/process/native.ts";
import { until } from "../support/wait.ts";
import { decodeFrames, makeClip, meanDifference, sideOf } from "./clips.ts";
import { HEIGHT, open, options, passthrough, play, WIDTH } from "./support/native-session.ts";

function threadCount(): number {
  return readdirSync("/proc/self/task").length;
}

describe("native addon, passthrough", function () {
  this.timeout(120_000);
  let engine: NativeEngine;

  before(() => {
    engine = loadNativeEngine({
      modelDir: "",
      backend: "cpu",
      computeThreads: 1,
      maxSessions: 4,
    });
  });
  after(() => engine.close());

  it("says what it runs", () => {
    expect(engine.info()).to.include({ width: WIDTH, height: HEIGHT, fps: 16, framesPerChunk: 4 });
    expect(engine.info().sizes).to.deep.include({ width: HEIGHT, height: WIDTH });
    expect(engine.info()).to.include({ h264Encoder: "libx264", videoDecoder: "software" });
  });

  it("encodes on the processor where a GPU that was asked to does not, and says why", async () => {
    const asking = loadNativeEngine({
      ...{ modelDir: "", backend: "cpu", computeThreads: 1, maxSessions: 1 },
      videoEncoder: "nvenc",
    });
    try {
      const encoder = asking.info().h264Encoder;
      if (encoder === "h264_nvenc") return; // This machine has such a GPU.
      expect(encoder).to.match(/^libx264: .*h264_nvenc/);
      const { session, frames } = open(asking, { inputCodec: "vp8", outputCodec: "h264" });
      await play(session, makeClip("vp8", 320, 180, 20), 1_700_000_000_000, 1000 / 30);
      await until("a chunk of frames", () => frames.length >= 4);
      expect(session.stats().encoderRefusals).to.equal(1);
      expect(session.stats().encodeErrors).to.equal(0);
    } finally {
      await asking.close();
    }
  });

  it("decodes on the processor where a GPU that was asked to does not, and says why", async () => {
    const asking = loadNativeEngine({
      ...{ modelDir: "", backend: "cpu", computeThreads: 1, maxSessions: 1 },
      videoDecoder: "nvdec",
    });
    try {
      const decoder = asking.info().videoDecoder;
      if (decoder === "nvdec") return; // This machine has such a GPU.
      expect(decoder).to.match(/^software: GPU 0 for codecs/);
      const { session, frames } = open(asking, { inputCodec: "vp8", outputCodec: "vp8" });
      await play(session, makeClip("vp8", 320, 180, 20), 1_700_000_000_000, 1000 / 30);
      await until("a chunk of frames", () => frames.length >= 4);
      expect(session.stats()).to.include({ decoderRefusals: 1, decodeErrors: 0 });
    } finally {
      await asking.close();
    }
  });

  for (const [inputCodec, outputCodec] of [
    ["vp8", "h264"],
    ["h264", "vp8"],
  ] as [VideoCodec, VideoCodec][]) {
    it(`brings ${inputCodec} pictures to the model's rate as ${outputCodec}, at the camera's size`, async () => {
      const clip = makeClip(inputCodec, 640, 360, 45);
      const { session, frames, events } = open(engine, { inputCodec, outputCodec });
      const startMs = 1_700_000_000_000.25;
      const times = await play(session, clip, startMs, 1000 / 30);
      // 1.5 s at 16 fps are 24 frames; on a busy machine some may be dropped, but never silently.
      await until("two chunks of frames", () => frames.length >= 8);
      await sleep(400);
      const stats = session.stats();
      expect(stats.driftCorrections).to.deep.equal({ latents: 0, pictures: 0, renewals: 0 });
      await session.close();

      expect(events[0]).to.deep.equal({
        ...{ type: "inputSize", width: 640, height: 360 },
        ...{ paintedWidth: 256, paintedHeight: 144, outputWidth: 640, outputHeight: 360 },
      });
      expect(events.find((event) => event.type === "applied")).to.deep.include({
        revision: 0,
        captureTimeMs: frames[0]?.captureTimeMs,
      });
      expect(frames[0]?.keyFrame).to.equal(true);
      const captureTimes = frames.map((frame) => frame.captureTimeMs);
      for (const time of captureTimes) expect(times).to.include(time);
      expect(captureTimes).to.deep.equal([...captureTimes].sort((a, b) => a - b));
      expect(new Set(captureTimes).size).to.equal(captureTimes.length);

      const input = decodeFrames(inputCodec, clip, 640, 360);
      const output = decodeFrames(
        outputCodec,
        frames.map((frame) => frame.data),
        640,
        360,
      );
      expect(output.length).to.equal(frames.length);
      expect(input.length).to.equal(clip.length);
      // The picture is the test picture: its corner colours survive, and it moves.
      const first = output[0];
      const last = output.at(-1);
      if (!first || !last) throw new Error("no pictures");
      expect(meanDifference(first, last)).to.be.greaterThan(1);

      expect(stats.framesIn).to.equal(45);
      expect(stats.framesDecoded + stats.drops.inputFull).to.equal(45);
      const dropped =
        stats.drops.aboveRate +
        stats.drops.chunkReplaced +
        stats.drops.generatedFull +
        stats.drops.callbackFull +
        stats.drops.awaitKeyFrame;
      // What is neither out nor dropped waits for its chunk to fill.
      expect(stats.framesDecoded - stats.framesOut - dropped).to.be.within(0, 3);
      expect(stats.queueDepths.generated).to.be.at.most(4);
    });
  }

  it("spreads the frames of chunks over time instead of sending them in bursts", async () => {
    const clip = makeClip("h264", WIDTH, HEIGHT, 32, 16);
    const arrivals: { at: number; captureTimeMs: number }[] = [];
    const session = engine.createSession(
      options({ inputCodec: "h264" }),
      ({ captureTimeMs }) => arrivals.push({ at: performance.now(), captureTimeMs }),
      () => {},
    );
    await play(session, clip, 0, 62.5);
    await until("frames of two chunks", () => arrivals.length >= 8);
    await sleep(400);
    await session.close();
    // Compared over each chunk: its last frame leaves well after its first, as it was taken. Half of
    // the chunks must show it, so that a moment without processor time does not fail the test.
    const spreads = arrivals.flatMap(({ at, captureTimeMs }, index) => {
      const last = arrivals[index + 3];
      if (!last || Math.round(captureTimeMs / 62.5) % 4 !== 0) return [];
      return last.captureTimeMs - captureTimeMs > 180 ? [last.at - at] : [];
    });
    spreads.sort((a, b) => a - b);
    expect(spreads[spreads.length >> 1]).to.be.greaterThan(94);
  });

  it("makes the next frame a key frame when asked", async () => {
    const clip = makeClip("vp8", 320, 240, 64, 16);
    const { session, frames } = open(engine);
    const playing = play(session, clip, 0, 62.5);
    await until("frames", () => frames.length >= 6);
    const before = frames.length;
    session.requestKeyFrame();
    await until("more frames", () => frames.length >= before + 4);
    await session.close();
    await playing;
    expect(frames.slice(1, before).some((frame) => frame.keyFrame)).to.equal(false);
    expect(frames.slice(before, before + 2).some((frame) => frame.keyFrame)).to.equal(true);
  });

  it("asks for a key frame when it has none, and after garbage, and goes on with the next", async () => {
    const clip = makeClip("vp8", 320, 240, 12, 16);
    const { session, frames, events } = open(engine);
    for (const frame of clip.slice(1, 4)) session.pushFrame(frame, 1000);
    await until("a request", () => events.some((event) => event.type === "needKeyFrame"));
    session.pushFrame(Buffer.from([0x10, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]), 1010);
    session.pushFrame(new Uint8Array(0), 1020);
    await until("an error", () => events.some((event) => event.type === "error"));
    await play(session, clip, 2000, 62.5);
    await until("frames", () => frames.length >= 4);
    const stats = session.stats();
    await session.close();
    expect(stats.decodeErrors).to.be.greaterThan(0);
    expect(stats.drops.noKeyFrame).to.be.greaterThan(0);
    expect(events.some((event) => event.type === "error" && event.fatal)).to.equal(false);
  });

  it("follows a size change and refuses absurd sizes by name", async () => {
    const { session, frames, events } = open(engine, { inputCodec: "h264" });
    const small = makeClip("h264", 8, 8, 1);
    const sizes = [makeClip("h264", 320, 240, 10, 16), makeClip("h264", 240, 426, 10, 16)];
    session.pushFrame(small[0] ?? Buffer.alloc(0), 500);
    let startMs = 1000;
    for (const clip of sizes) {
      await play(session, clip, startMs, 62.5);
      startMs += 1000;
    }
    await until("frames of both sizes", () => frames.at(-1)?.height === 426);
    await session.close();
    const changes = events.filter((event) => event.type === "inputSize");
    expect(changes.map((event) => [event.width, event.height])).to.deep.equal([
      [320, 240],
      [240, 426],
    ]);
    const error = events.find((event) => event.type === "error");
    expect(error?.message).to.contain("8x8").and.contain("16x16");
    // Each in the camera's own shape.
    const shown = frames.map((frame) => `${frame.width}x${frame.height}`);
    expect([...new Set(shown)]).to.deep.equal(["320x240", "240x426"]);
    expect(frames.filter((frame) => frame.keyFrame).length).to.equal(2);
  });

  for (const [width, height, outWidth, outHeight, paintedWidth, paintedHeight] of [
    [360, 640, 360, 640, 144, 256],
    [720, 1280, 360, 640, 144, 256],
    [480, 640, 480, 640, 160, 224],
    [640, 480, 640, 480, 224, 160],
    [1050, 1500, 448, 640, 160, 224],
    [853, 479, 640, 360, 256, 144],
  ] as const) {
    it(`shows a camera of ${width}x${height} whole, as ${outWidth}x${outHeight}`, async () => {
      // x264 takes even sizes only.
      const inputCodec = width % 2 === 0 ? "h264" : "vp8";
      const clip = makeClip(inputCodec, width, height, 16, 16);
      const { session, frames, events } = open(engine, { inputCodec });
      const times: number[] = [];
      // A busy machine drops frames, and the rest of a clip may be no whole chunk.
      for (let turn = 0; turn < 20 && frames.length < 4; ++turn) {
        times.push(...(await play(session, clip, 1000 + turn * 1000, 62.5)));
      }
      await session.close();
      expect(frames.length).to.be.at.least(4);
      expect(events.find((event) => event.type === "inputSize")).to.deep.equal({
        ...{ type: "inputSize", width, height, paintedWidth, paintedHeight },
        ...{ outputWidth: outWidth, outputHeight: outHeight },
      });
      for (const frame of frames) {
        expect([frame.width, frame.height]).to.deep.equal([outWidth, outHeight]);
      }
      const camera = decodeFrames(inputCodec, clip, width, height, [outWidth, outHeight]);
      const data = frames.map((frame) => frame.data);
      const shown = decodeFrames("vp8", data, outWidth, outHeight);
      expect(shown.length).to.equal(frames.length);
      const differences = shown.flatMap((picture, index) => {
        const at = times.indexOf(frames[index]?.captureTimeMs ?? Number.NaN);
        const other = camera[at % clip.length];
        if (!other) throw new Error("a picture of no camera frame");
        // The outermost eighth at each side: what a crop would have lost or put elsewhere.
        return (["top", "bottom", "left", "right"] as const).map((side) =>
          meanDifference(
            sideOf(picture, outWidth, outHeight, side),
            sideOf(other, outWidth, outHeight, side),
          ),
        );
      });
      expect(Math.max(...differences)).to.be.below(16);
    });
  }

  it("encodes a lower layer beside the pictures, with key frames of its own", async () => {
    const clip = makeClip("vp8", 640, 360, 16, 24);
    const { session, frames } = open(engine, { lowLayerBitrateBps: 100_000 });
    await play(session, clip.slice(0, 12), 1000, 62.5);
    await until("pictures", () => frames.length >= 4);
    session.requestLowKeyFrame();
    const before = frames.length;
    await play(session, clip.slice(12), 1750, 62.5);
    await until("a key frame of the lower layer", () =>
      frames.slice(before).some(({ low }) => low?.keyFrame),
    );
    await session.close();
    const low = frames.flatMap((frame) => frame.low ?? []);
    expect(low.length).to.equal(frames.length);
    expect([...new Set(low.map(({ width, height }) => `${width}x${height}`))]).to.deep.equal([
      "320x180",
    ]);
    expect(low[0]?.keyFrame).to.equal(true);
    expect(
      frames.slice(1).some(({ keyFrame }) => keyFrame),
      "of the upper layer",
    ).to.equal(false);
    const data = low.map((picture) => picture.data);
    expect(decodeFrames("vp8", data, 320, 180).length).to.equal(low.length);
  });

  it("refuses wrong arguments with what it expected and what came", async () => {
    const create = (changes: object) => () =>
      engine.createSession(
        options(changes),
        () => {},
        () => {},
      );
    expect(create({ inputCodec: "h265" })).to.throw(
      RangeError,
      "options.inputCodec but received h265",
    );
    expect(create({ bitrateBps: -5 })).to.throw(RangeError, "received -5 of type number");
    expect(create({ bitrateBps: "fast" })).to.throw(TypeError, "received fast of type string");
    expect(create({ transform: { ...passthrough, steps: 9 } })).to.throw(RangeError, "1 to 4");
    expect(create({ transform: { ...passthrough, strength: Number.NaN } })).to.throw(RangeError);
    expect(create({ transform: null })).to.throw(TypeError, "an object for options.transform");
    expect(create({ transform: { ...passthrough, mode: "restyle" } })).to.throw(Error, "no model");
    const { session } = open(engine);
    expect(() => session.pushFrame("x" as unknown as Buffer, 0)).to.throw(TypeError, "Uint8Array");
    expect(() => session.pushFrame(Buffer.alloc(4), Number.NaN)).to.throw(RangeError);
    expect(() => session.setBitrate(1)).to.throw(RangeError, "bps");
    await session.close();
  });

  it("opens no more sessions than it may", async () => {
    const opened = [1, 2, 3, 4].map(() => open(engine).session);
    expect(() => open(engine)).to.throw(Error, "at most 4");
    await Promise.all(opened.map((session) => session.close()));
    await open(engine).session.close();
  });

  it("closes while frames are under way, twice, and is silent afterwards", async () => {
    const clip = makeClip("vp8", 320, 240, 16, 16);
    const { session, frames, events } = open(engine);
    for (const [index, frame] of clip.entries()) session.pushFrame(frame, index * 62.5);
    await Promise.all([session.close(), session.close()]);
    const [frameCount, eventCount] = [frames.length, events.length];
    session.pushFrame(clip[0] ?? Buffer.alloc(0), 5000);
    session.setBitrate(500_000);
    await sleep(200);
    expect(frames.length).to.equal(frameCount);
    expect(events.length).to.equal(eventCount);
    expect(session.stats().framesIn).to.equal(16);
    await session.close();
  });

  it("opens and closes twenty sessions without leaving threads behind", async () => {
    const clip = makeClip("h264", 320, 240, 8, 16);
    const cycle = async () => {
      const { session } = open(engine, { inputCodec: "h264", outputCodec: "h264" });
      for (const [index, frame] of clip.entries()) session.pushFrame(frame, index * 62.5);
      await session.close();
    };
    await cycle();
    const threads = threadCount();
    for (let i = 0; i < 20; ++i) await cycle();
    expect(threadCount()).to.be.at.most(threads);
  });

  it("does not lose frames to a listener that throws", () => {
    const program = `
      import { loadNativeEngine } from ${JSON.stringify(path.resolve("server/engine/process/native.ts"))};
      import { makeClip } from ${JSON.stringify(path.resolve("test/media/clips.ts"))};
      const engine = loadNativeEngine({ modelDir: "", backend: "cpu", computeThreads: 1, maxSessions: 1 });
      let thrown = 0;
      let seen = 0;
      process.on("uncaughtException", () => ++thrown);
      const session = engine.createSession(${JSON.stringify(options())}, () => {
        if (++seen <= 2) throw new Error("listener");
        if (seen === 4) { console.log(thrown); process.exit(0); }
      }, () => {});
      for (const [i, frame] of makeClip("vp8", 320, 240, 8, 16).entries()) session.pushFrame(frame, i * 62.5);
      setTimeout(() => process.exit(3), 20000);
    `;
    const output = execFileSync(process.execPath, ["--input-type=module", "-e", program]);
    expect(output.toString().trim()).to.equal("2");
  });

  it("lets a process end while sessions are running", () => {
    const program = (ending: string) => `
      import { loadNativeEngine } from ${JSON.stringify(path.resolve("server/engine/process/native.ts"))};
      import { makeClip } from ${JSON.stringify(path.resolve("test/media/clips.ts"))};
      const engine = loadNativeEngine({ modelDir: "", backend: "cpu", computeThreads: 1, maxSessions: 2 });
      for (const id of ["a", "b"]) {
        const session = engine.createSession({ ...${JSON.stringify(options())}, id }, () => {}, () => {});
        for (const [i, frame] of makeClip("vp8", 320, 240, 16, 16).entries()) session.pushFrame(frame, i * 62.5);
      }
      console.log("running");
      ${ending}
    `;
    for (const ending of ["process.exit(0);", "", "setTimeout(() => process.exit(0), 300);"]) {
      const output = execFileSync(
        process.execPath,
        ["--input-type=module", "-e", program(ending)],
        { timeout: 100_000 },
      );
      expect(output.toString().trim()).to.equal("running");
    }
  });

  it("explains an addon and a model that are missing", () => {
    expect(() =>
      loadNativeEngine({ modelDir: "/nowhere", backend: "cpu", computeThreads: 1, maxSessions: 1 }),
    ).to.throw(Error, "/nowhere/model.json");
    for (const [backend, problem] of [
      ["gpu", 'expected "auto", "cpu", "cuda", "cuda:N" or "reference", got "gpu"'],
      ["cuda:9", "CUDA"],
    ] as const) {
      const modelDir = path.resolve(import.meta.dirname, "../../models/drift-nano");
      const options = { modelDir, backend, computeThreads: 1, maxSessions: 1 };
      expect(() => loadNativeEngine(options), backend).to.throw(Error, problem);
    }
    const before = process.env.DRIFTLESS_ADDON;
    process.env.DRIFTLESS_ADDON = "/nowhere/driftless.node";
    try {
      expect(() =>
        loadNativeEngine({ modelDir: "", backend: "cpu", computeThreads: 1, maxSessions: 1 }),
      ).to.throw(Error, /tried \/nowhere\/driftless\.node: not there[\s\S]*npm run setup/);
    } finally {
      if (before === undefined) delete process.env.DRIFTLESS_ADDON;
      else process.env.DRIFTLESS_ADDON = before;
    }
  });
});
