/** Cameras in VP9 and AV1, as libvpx, libaom and ffmpeg make them: they come in, VP8 goes out. */
import { execFileSync } from "node:child_process";
import { expect } from "chai";
import {
  type CameraCodec,
  loadNativeEngine,
  type NativeEngine,
} from "../../server/engine/process/native.ts";
import { until } from "../support/wait.ts";
import { decodeFrames, meanDifference, splitIvf } from "./clips.ts";
import { HEIGHT, open, passthrough, play, WIDTH } from "./support/native-session.ts";

const START_MS = 1_700_000_000_000;
const encoders = {
  vp9: ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"],
  av1: ["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"],
};

function camera(codec: "vp9" | "av1", width: number, height: number, pixels = "yuv420p"): Buffer[] {
  const source = ["-f", "lavfi", "-i", `testsrc2=size=${width}x${height}:rate=30`];
  const common = ["-frames:v", "24", "-g", "300", "-pix_fmt", pixels, "-b:v", "800k", "-f", "ivf"];
  return splitIvf(
    execFileSync(
      process.env.FFMPEG_BIN ?? "ffmpeg",
      ["-hide_banner", "-loglevel", "error", ...source, ...encoders[codec], ...common, "-"],
      { maxBuffer: 1 << 28 },
    ),
  );
}

/** AV1 as it comes by RTP: without the delimiter that begins each temporal unit. */
function withoutDelimiter(unit: Buffer): Buffer {
  expect(unit.readUInt16BE(0)).to.equal(0x1200);
  return unit.subarray(2);
}

/** The frames of one superframe, with its index (VP9 specification, annex B). */
function superframe(layers: Buffer[]): Buffer {
  const marker = Buffer.from([0b110_11_000 | (layers.length - 1)]);
  const sizes = Buffer.alloc(4 * layers.length);
  for (const [index, layer] of layers.entries()) sizes.writeUInt32LE(layer.length, 4 * index);
  return Buffer.concat([...layers, marker, sizes, marker]);
}

describe("native addon, VP9 and AV1 cameras", function () {
  this.timeout(120_000);
  let engine: NativeEngine;

  before(() => {
    const bare = { modelDir: "", backend: "cpu", computeThreads: 1, maxSessions: 2 };
    engine = loadNativeEngine(bare);
  });
  after(() => engine.close());

  async function show(inputCodec: CameraCodec, clip: Buffer[], atLeast = 12) {
    const { session, frames, events } = open(engine, { inputCodec, transform: passthrough });
    await play(session, clip, START_MS, 1000 / 16);
    await until("frames", () => frames.length >= atLeast);
    await until("all to be decoded", () => {
      const { framesIn, framesDecoded, decodeErrors } = session.stats();
      return framesDecoded + decodeErrors >= framesIn;
    });
    const stats = session.stats();
    await session.close();
    return { frames, events, stats };
  }

  for (const codec of ["vp9", "av1"] as const) {
    it(`shows ${codec} as it was filmed, and follows its size`, async () => {
      const small = camera(codec, 320, 180);
      const { frames, events, stats } = await show(
        codec,
        [...small, ...camera(codec, 480, 270)],
        12,
      );
      expect(stats.decodeErrors).to.equal(0);
      const sizes = events.flatMap((event) => (event.type === "inputSize" ? [event.width] : []));
      expect(sizes).to.deep.equal([320, 480]);
      const { width = 0, height = 0 } = frames[0] ?? {};
      const run = frames.filter((frame) => frame.width === width).slice(0, 12);
      const data = run.map((frame) => frame.data);
      const [first = Buffer.alloc(0)] = decodeFrames("vp8", data, width, height);
      const source = `testsrc2=size=320x180:rate=30,scale=${width}:${height}`;
      const wanted = execFileSync(
        process.env.FFMPEG_BIN ?? "ffmpeg",
        ["-loglevel", "error", "-f", "lavfi", "-i", source, "-frames:v", "1"].concat([
          "-f",
          "rawvideo",
          "-pix_fmt",
          "rgb24",
          "-",
        ]),
        { maxBuffer: 1 << 26 },
      );
      expect(meanDifference(first, wanted)).to.be.lessThan(20);
      expect(width).to.be.at.least(WIDTH);
      expect(height).to.be.at.least(HEIGHT);
    });

    it(`asks for a key frame of ${codec} and shows nothing before it`, async () => {
      const clip = camera(codec, 320, 180);
      const { session, frames, events } = open(engine, { inputCodec: codec });
      await play(session, clip.slice(1, 9), START_MS, 1000 / 16);
      await until("the wish", () => events.some(({ type }) => type === "needKeyFrame"));
      expect(frames).to.deep.equal([]);
      await play(session, clip, START_MS + 1000, 1000 / 16);
      await until("frames", () => frames.length >= 8);
      await session.close();
    });

    it(`refuses ${codec} of more than 8 bits, in words`, async () => {
      const { session, events } = open(engine, { inputCodec: codec });
      const profile = codec === "vp9" ? "vp9" : "av1";
      await play(session, camera(profile, 320, 180, "yuv420p10le").slice(0, 2), START_MS, 60);
      const error = await until("an error", () => events.find((event) => event.type === "error"));
      expect(error).to.have.property("message").that.includes("8 bits");
      await session.close();
    });
  }

  it("takes AV1 without temporal delimiters, as it comes by RTP", async () => {
    const clip = camera("av1", 320, 180).map(withoutDelimiter);
    const { stats } = await show("av1", clip, 16);
    expect(stats.framesDecoded).to.be.at.least(16);
    expect(stats.decodeErrors).to.equal(0);
  });

  it("shows the last of VP9's spatial layers, one picture for one superframe", async () => {
    const low = camera("vp9", 160, 90)[0] ?? Buffer.alloc(0);
    const high = camera("vp9", 320, 180)[0] ?? Buffer.alloc(0);
    const layered = superframe([low, high]);
    const { events, stats } = await show(
      "vp9",
      Array.from({ length: 16 }, () => layered),
      8,
    );
    const sizes = events.flatMap((event) => (event.type === "inputSize" ? [event.width] : []));
    expect(sizes).to.deep.equal([320]);
    expect(stats.framesDecoded).to.equal(stats.framesIn);
    expect(stats.decodeErrors).to.equal(0);
  });

  it("refuses a picture beyond its limits before memory is spent on it", async () => {
    const clip = camera("vp9", 320, 180);
    const key = Buffer.from(clip[0] ?? Buffer.alloc(0));
    // Profile 0: width - 1 begins at bit 36 + 4 of the header (after 3 + 1 bits of colour).
    for (let i = 0; i < 4; ++i) {
      const at = 32 + 4 + i * 8;
      const byte = at >> 3;
      key.writeUInt16BE((key.readUInt16BE(byte) & 0xf00f) | 0x0ff0, byte);
    }
    const { session, events } = open(engine, { inputCodec: "vp9" });
    session.pushFrame(key, START_MS);
    const error = await until("an error", () => events.find((event) => event.type === "error"));
    expect(error).to.have.property("message").that.includes("pixels");
    await session.close();
  });
});
