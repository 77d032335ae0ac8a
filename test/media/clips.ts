/** Encoded test clips, made by the system's ffmpeg, and a decoder that tells what is in a frame. */
import { execFileSync } from "node:child_process";
import type { VideoCodec } from "../../server/engine/process/native.ts";

const ffmpeg = process.env.FFMPEG_BIN ?? "ffmpeg";

const encoderArguments: Record<VideoCodec, string[]> = {
  vp8: ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"],
  h264: [
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-tune",
    "zerolatency",
    "-profile:v",
    "baseline",
  ],
};

function run(parameters: string[], input?: Buffer): Buffer {
  return execFileSync(ffmpeg, ["-hide_banner", "-loglevel", "error", ...parameters], {
    input,
    maxBuffer: 1 << 28,
  });
}

/** The frames of an IVF file: a 32-byte header, then 12 bytes before each frame. */
export function splitIvf(file: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = file.readUInt16LE(6); at + 12 <= file.length; ) {
    const size = file.readUInt32LE(at);
    frames.push(file.subarray(at + 12, at + 12 + size));
    at += 12 + size;
  }
  return frames;
}

/** The access units of an Annex B stream in which each begins with an access unit delimiter. */
export function splitAccessUnits(stream: Buffer): Buffer[] {
  const delimiter = Buffer.from([0, 0, 0, 1, 9]);
  const starts: number[] = [];
  for (let at = stream.indexOf(delimiter); at >= 0; at = stream.indexOf(delimiter, at + 1)) {
    starts.push(at);
  }
  return starts.map((start, index) => stream.subarray(start, starts[index + 1] ?? stream.length));
}

const made = new Map<string, Buffer[]>();

/** Frames of ffmpeg's moving test picture, with a key frame first and every `keyInterval`. */
export function makeClip(
  codec: VideoCodec,
  width: number,
  height: number,
  frames: number,
  fps = 30,
  keyInterval = 300,
): Buffer[] {
  const key = `${codec} ${width} ${height} ${frames} ${fps} ${keyInterval}`;
  const before = made.get(key);
  if (before) return before;
  const source = ["-f", "lavfi", "-i", `testsrc2=size=${width}x${height}:rate=${fps}`];
  // The test picture itself has even sides.
  const odd = width % 2 === 1 || height % 2 === 1 ? ["-vf", `scale=${width}:${height}`] : [];
  const common = [
    ...odd,
    "-frames:v",
    `${frames}`,
    "-g",
    `${keyInterval}`,
    "-pix_fmt",
    "yuv420p",
    "-b:v",
    "800k",
  ];
  const output =
    codec === "vp8"
      ? ["-f", "ivf", "-"]
      : ["-bsf:v", "h264_metadata=aud=insert", "-f", "h264", "-"];
  const stream = run([...source, ...common, ...encoderArguments[codec], ...output]);
  const clip = codec === "vp8" ? splitIvf(stream) : splitAccessUnits(stream);
  made.set(key, clip);
  return clip;
}

/** An IVF file around VP8 frames, so that ffmpeg can read what the engine sent. */
export function joinIvf(frames: Buffer[], width: number, height: number): Buffer {
  const header = Buffer.alloc(32);
  header.write("DKIF", 0, "latin1");
  header.writeUInt16LE(32, 6);
  header.write("VP80", 8, "latin1");
  header.writeUInt16LE(width, 12);
  header.writeUInt16LE(height, 14);
  header.writeUInt32LE(16, 16);
  header.writeUInt32LE(1, 20);
  header.writeUInt32LE(frames.length, 24);
  const parts = frames.flatMap((frame, index) => {
    const before = Buffer.alloc(12);
    before.writeUInt32LE(frame.length, 0);
    before.writeUInt32LE(index, 4);
    return [before, frame];
  });
  return Buffer.concat([header, ...parts]);
}

/**
 * The decoded pictures as RGB, one buffer of width x height x 3 bytes for each frame; or scaled to
 * another size.
 */
export function decodeFrames(
  codec: VideoCodec,
  frames: Buffer[],
  width: number,
  height: number,
  scaled: readonly [number, number] = [width, height],
): Buffer[] {
  const input = codec === "vp8" ? joinIvf(frames, width, height) : Buffer.concat(frames);
  const format = codec === "vp8" ? "ivf" : "h264";
  const [toWidth, toHeight] = scaled;
  const scale =
    toWidth === width && toHeight === height ? [] : ["-vf", `scale=${toWidth}:${toHeight}`];
  const raw = ["-vsync", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"];
  const rgb = run(["-f", format, "-i", "-", ...scale, ...raw], input);
  const size = toWidth * toHeight * 3;
  return Array.from({ length: Math.floor(rgb.length / size) }, (_, index) =>
    rgb.subarray(index * size, (index + 1) * size),
  );
}

/** The outermost eighth of an RGB picture at one side. */
export function sideOf(
  rgb: Buffer,
  width: number,
  height: number,
  side: "top" | "bottom" | "left" | "right",
): Buffer {
  const row = width * 3;
  const [deep, wide] = [Math.floor(height / 8) * row, Math.floor(width / 8) * 3];
  if (side === "top") return rgb.subarray(0, deep);
  if (side === "bottom") return rgb.subarray(height * row - deep, height * row);
  const from = side === "left" ? 0 : row - wide;
  const lines = Array.from({ length: height }, (_, y) =>
    rgb.subarray(y * row + from, y * row + from + wide),
  );
  return Buffer.concat(lines);
}

/** Mean absolute difference of two pictures of one size, 0 to 255. */
export function meanDifference(a: Buffer, b: Buffer): number {
  let sum = 0;
  for (let i = 0; i < a.length; ++i) sum += Math.abs((a[i] ?? 0) - (b[i] ?? 0));
  return sum / a.length;
}
