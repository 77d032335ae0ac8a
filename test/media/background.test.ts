/**
 * Background mode of the native addon on a real clip: a person before a blue screen, which stands
 * for the room. Not one pixel of that blue may come out.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import {
  loadNativeEngine,
  type NativeEngine,
  type NativeTransform,
} from "../../server/engine/process/native.ts";
import { until } from "../support/wait.ts";
import { decodeFrames, makeClip, meanDifference, splitIvf } from "./clips.ts";
import { defaultModel, open, play } from "./support/native-session.ts";

const WIDTH = 360;
const HEIGHT = 288;
const START_MS = 1_700_000_000_000;

const background: NativeTransform = {
  mode: "background",
  prompt: "",
  scene: "forest",
  strength: 0,
  steps: 1,
  seed: 3,
};

/** Frames of the blue-screen clip as a 30 fps VP8 camera, from this second on. */
function blueScreen(fromSeconds: number, frames: number): Buffer[] {
  const clips = process.env.DRIFTLESS_CLIPS;
  if (!clips) throw new Error("DRIFTLESS_CLIPS is not set; run the tests by npm test");
  const file = path.join(clips, "franck.mp4");
  const input = ["-ss", `${fromSeconds}`, "-i", file, "-frames:v", `${frames}`];
  const codec = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1500k"];
  const output = ["-pix_fmt", "yuv420p", "-r", "30", "-an", "-f", "ivf", "-"];
  return splitIvf(
    execFileSync(
      process.env.FFMPEG_BIN ?? "ffmpeg",
      ["-hide_banner", "-loglevel", "error", ...input, ...codec, ...output],
      { maxBuffer: 1 << 28 },
    ),
  );
}

/** Share of the pixels that are as blue as the screen. */
function blueShare(rgb: Buffer): number {
  let blue = 0;
  for (let at = 0; at < rgb.length; at += 3) {
    const [r = 0, g = 0, b = 0] = rgb.subarray(at, at + 3);
    if (b > 150 && b - Math.max(r, g) > 70) blue += 1;
  }
  return blue / (rgb.length / 3);
}

/** The mean colour of a part of the picture, in shares of its sides. */
function meanOf(rgb: Buffer, x0: number, y0: number, x1: number, y1: number): number[] {
  const sums = [0, 0, 0];
  let count = 0;
  for (let y = Math.round(y0 * HEIGHT); y < y1 * HEIGHT; ++y) {
    for (let x = Math.round(x0 * WIDTH); x < x1 * WIDTH; ++x) {
      for (let c = 0; c < 3; ++c) sums[c] = (sums[c] ?? 0) + (rgb[(y * WIDTH + x) * 3 + c] ?? 0);
      count += 1;
    }
  }
  return sums.map((sum) => sum / count);
}

describe("native addon, background", function () {
  this.timeout(120_000);
  let engine: NativeEngine;

  before(() => {
    engine = loadNativeEngine(defaultModel);
  });
  after(() => engine.close());

  /** Plays the clip and returns what came out, decoded. */
  async function show(clip: Buffer[], transform: NativeTransform) {
    const { session, frames, events } = open(engine, { transform, bitrateBps: 2_000_000 });
    await play(session, clip, START_MS, 1000 / 30);
    await until("the frames", () => {
      const { framesIn, drops, framesOut } = session.stats();
      const lost = Object.entries(drops).reduce(
        (sum, [reason, count]) => (reason === "events" ? sum : sum + count),
        0,
      );
      return framesOut + lost >= framesIn;
    });
    await sleep(100);
    const stats = session.stats();
    await session.close();
    expect(events.filter((event) => event.type === "error")).to.deep.equal([]);
    const pictures = decodeFrames(
      "vp8",
      frames.map((frame) => frame.data),
      WIDTH,
      HEIGHT,
    );
    expect(pictures.length).to.equal(frames.length);
    return { frames, pictures, stats, events };
  }

  it("shows the person at the camera's size and rate, and nothing of the room", async () => {
    const clip = blueScreen(2, 60);
    const { frames, pictures, stats } = await show(clip, background);
    // The camera's rate, but for what a busy machine drops; a restyled one has 16 of 30 frames.
    expect(stats.framesOut).to.be.at.least(0.8 * clip.length);
    expect(frames.every(({ width, height }) => width === WIDTH && height === HEIGHT)).to.equal(
      true,
    );
    const times = frames.map((frame) => frame.captureTimeMs);
    expect(times).to.deep.equal([...times].sort((a, b) => a - b));

    const camera = decodeFrames("vp8", clip, WIDTH, HEIGHT);
    expect(blueShare(camera[0] ?? Buffer.alloc(0))).to.be.greaterThan(0.4);
    for (const [index, picture] of pictures.entries()) {
      expect(blueShare(picture), `room in frame ${index}`).to.be.lessThan(0.0005);
    }
    // Nobody in the first picture; at the end the face, as the camera had it.
    const face = [0.45, 0.4, 0.62, 0.7] as const;
    const last = frames.at(-1);
    const source = Math.round(((last?.captureTimeMs ?? 0) - START_MS) / (1000 / 30));
    const wanted = meanOf(camera[source] ?? Buffer.alloc(0), ...face);
    const distance = (picture: Buffer | undefined) =>
      Math.max(
        ...meanOf(picture ?? Buffer.alloc(0), ...face).map((v, c) =>
          Math.abs(v - (wanted[c] ?? 0)),
        ),
      );
    expect(distance(pictures[0])).to.be.greaterThan(30);
    expect(distance(pictures.at(-1))).to.be.lessThan(12);
    if (process.env.DRIFTLESS_KEEP_PICTURES) {
      const header = `P6\n${WIDTH} ${HEIGHT}\n255\n`;
      const kept = pictures.at(-1) ?? Buffer.alloc(0);
      writeFileSync(
        process.env.DRIFTLESS_KEEP_PICTURES,
        Buffer.concat([Buffer.from(header), kept]),
      );
    }
  });

  it("lets the model repaint the scene, but not the person", async () => {
    const clip = blueScreen(2, 100);
    const drawn = await show(clip, background);
    const painted = await show(clip, { ...background, prompt: "neon night", strength: 1 });
    expect(painted.stats.chunks).to.be.greaterThan(2);
    expect(drawn.stats.chunks).to.equal(0);
    for (const [index, picture] of painted.pictures.entries()) {
      // Neon is blue as well, so only the first second is looked at, before repainting shows.
      if (index < 15) expect(blueShare(picture), `room in frame ${index}`).to.be.lessThan(0.0005);
    }
    const corner = [0.02, 0.05, 0.2, 0.4] as const;
    const mean = (shown: typeof drawn, part: readonly [number, number, number, number]) =>
      meanOf(shown.pictures.at(-1) ?? Buffer.alloc(0), ...part);
    const change = (part: readonly [number, number, number, number]) =>
      Math.max(...mean(drawn, part).map((v, c) => Math.abs(v - (mean(painted, part)[c] ?? 0))));
    expect(change(corner)).to.be.greaterThan(25);
    expect(change([0.45, 0.4, 0.62, 0.7])).to.be.lessThan(12);
  });

  it("shows only the scene when nobody is there, even of a busy room", async () => {
    const { pictures } = await show(makeClip("vp8", WIDTH, HEIGHT, 30), background);
    const first = pictures[0] ?? Buffer.alloc(0);
    for (const picture of pictures) expect(meanDifference(picture, first)).to.be.lessThan(8);
  });

  it("blurs the room until stripes are gone", async () => {
    const { pictures } = await show(blueScreen(2, 30), { ...background, blur: true });
    // Blue is what this room is, and it may stay; around the person it is as smooth as anywhere.
    const [, , blue = 0] = meanOf(pictures.at(-1) ?? Buffer.alloc(0), 0.02, 0.05, 0.2, 0.4);
    expect(blue).to.be.greaterThan(120);
    const room = await show(makeClip("vp8", WIDTH, HEIGHT, 20), { ...background, blur: true });
    const last = room.pictures.at(-1) ?? Buffer.alloc(0);
    let steepest = 0;
    for (let at = 0; at + 3 * 12 < last.length; at += 3) {
      if ((at / 3) % WIDTH > WIDTH - 13) continue;
      steepest = Math.max(steepest, Math.abs((last[at + 1] ?? 0) - (last[at + 1 + 36] ?? 0)));
    }
    // The test picture itself has edges of 255.
    expect(steepest).to.be.lessThan(85);
  });

  it("keeps the two kinds of pictures apart when the mode changes", async () => {
    const clip = blueScreen(2, 120);
    const restyle: NativeTransform = {
      mode: "restyle",
      prompt: "watercolour painting on paper",
      strength: 0,
      steps: 1,
      seed: 3,
    };
    const { session, frames, events } = open(engine, { transform: restyle });
    await play(session, clip.slice(0, 60), START_MS, 1000 / 30);
    expect(session.setTransform(background)).to.equal(1);
    const before = frames.length;
    await play(session, clip.slice(60), START_MS + 2000, 1000 / 30);
    await until("the new mode", () =>
      events.some((event) => event.type === "applied" && event.revision === 1),
    );
    await sleep(300);
    await session.close();
    expect(before).to.be.greaterThan(0);
    const applied = events.find((event) => event.type === "applied" && event.revision === 1);
    const since = applied?.type === "applied" ? applied.captureTimeMs : Number.NaN;
    const after = frames.filter((frame) => frame.captureTimeMs >= since);
    expect(after.every(({ width }) => width === WIDTH)).to.equal(true);
    expect(after[0]?.keyFrame).to.equal(true);
    const pictures = decodeFrames(
      "vp8",
      after.map((frame) => frame.data),
      WIDTH,
      HEIGHT,
    );
    for (const picture of pictures) expect(blueShare(picture)).to.be.lessThan(0.0005);
  });

  it("is refused without the networks, in words", () => {
    const bare = loadNativeEngine({
      modelDir: "",
      segmenterDir: "",
      backend: "cpu",
      computeThreads: 1,
      maxSessions: 1,
    });
    expect(bare.info().background).to.equal(false);
    expect(() => open(bare, { transform: background })).to.throw("segmentation");
    return bare.close();
  });
});
