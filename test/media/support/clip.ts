/** Encoded clips made by ffmpeg, cut into frames, and pictures out of encoded frames. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import type { VideoCodec } from "../../../server/engine/native.ts";

const run = promisify(execFile);
const FFMPEG = process.env.FFMPEG_BIN ?? "ffmpeg";

export const CLIP_FPS = 25;

export interface EncodedClipFrame {
  data: Buffer;
  keyFrame: boolean;
}

/** Frames of a clip: two seconds. */
export const CLIP_FRAMES = 2 * CLIP_FPS;
/** The frame's number is drawn as so many vertical bars, the lowest bit on the left. */
const BARS = 6;

export interface ClipOptions {
  codec: VideoCodec;
  /** As ffmpeg writes it, such as 320x180. */
  size: string;
}

/** A clip whose frames carry their number as a barcode, with a key frame each second. */
export async function makeClip({ codec, size }: ClipOptions): Promise<EncodedClipFrame[]> {
  const bit = `bitand(N\\,pow(2\\,floor(X*${BARS}/W)))`;
  const input = [
    `nullsrc=size=${size}:rate=${CLIP_FPS}:duration=${CLIP_FRAMES / CLIP_FPS}`,
    `geq=lum='if(${bit}\\,235\\,16)':cb=110:cr=150`,
  ].join(",");
  const common = ["-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i", input];
  const coded =
    codec === "vp8"
      ? ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "800k"]
      : [
          "-c:v",
          "libx264",
          "-preset",
          "ultrafast",
          "-tune",
          "zerolatency",
          "-profile:v",
          "baseline",
        ];
  const tail =
    codec === "vp8" ? ["-f", "ivf"] : ["-x264-params", "aud=1:repeat-headers=1", "-f", "h264"];
  const bytes = await inTemporaryFolder(async (folder) => {
    const file = path.join(folder, "clip");
    const pixels = ["-pix_fmt", "yuv420p", "-g", String(CLIP_FPS)];
    await run(FFMPEG, [...common, ...coded, ...pixels, ...tail, file]);
    return readFile(file);
  });
  return codec === "vp8" ? ivfFrames(bytes) : accessUnits(bytes);
}

/**
 * Decodes frames with ffmpeg, which shares no code with the engine's RTP side.
 * @returns one grey picture of `width` x `height` for each decoded frame
 */
export async function decodeToGrey(
  codec: VideoCodec,
  frames: readonly Buffer[],
  width: number,
  height: number,
): Promise<Buffer[]> {
  const raw = await inTemporaryFolder(async (folder) => {
    const file = path.join(folder, "coded");
    const out = path.join(folder, "raw");
    await writeFile(file, codec === "vp8" ? ivfFile(frames) : Buffer.concat(frames));
    const format = ["-f", codec === "vp8" ? "ivf" : "h264"];
    const scaled = ["-vf", `scale=${width}:${height}`, "-pix_fmt", "gray"];
    // Pass-through timing: one picture for each coded frame.
    const output = ["-fps_mode", "passthrough", "-f", "rawvideo", out];
    await run(FFMPEG, [
      "-hide_banner",
      "-loglevel",
      "error",
      ...format,
      "-i",
      file,
      ...scaled,
      ...output,
    ]);
    return readFile(out);
  });
  const bytes = width * height;
  return Array.from({ length: Math.floor(raw.length / bytes) }, (_, index) =>
    raw.subarray(index * bytes, (index + 1) * bytes),
  );
}

/** The frame number that a grey picture shows. */
export function readBarcode(grey: Buffer, width: number, height: number): number {
  const row = Math.floor(height / 2) * width;
  let value = 0;
  for (let bar = 0; bar < BARS; bar += 1) {
    const x = Math.floor(((bar + 0.5) * width) / BARS);
    value |= (grey[row + x] ?? 0) > 128 ? 1 << bar : 0;
  }
  return value;
}

async function inTemporaryFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), "driftless-media-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const IVF_HEADER_BYTES = 32;
const IVF_FRAME_HEADER_BYTES = 12;

function ivfFrames(file: Buffer): EncodedClipFrame[] {
  const frames: EncodedClipFrame[] = [];
  let offset = IVF_HEADER_BYTES;
  while (offset + IVF_FRAME_HEADER_BYTES <= file.length) {
    const size = file.readUInt32LE(offset);
    const start = offset + IVF_FRAME_HEADER_BYTES;
    const data = file.subarray(start, start + size);
    frames.push({ data, keyFrame: ((data[0] ?? 1) & 1) === 0 });
    offset = start + size;
  }
  return frames;
}

function ivfFile(frames: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(IVF_HEADER_BYTES);
  header.write("DKIF", 0, "latin1");
  header.writeUInt16LE(IVF_HEADER_BYTES, 6);
  header.write("VP80", 8, "latin1");
  header.writeUInt16LE(256, 12);
  header.writeUInt16LE(144, 14);
  header.writeUInt32LE(30, 16);
  header.writeUInt32LE(1, 20);
  header.writeUInt32LE(frames.length, 24);
  const parts = frames.flatMap((frame, index) => {
    const frameHeader = Buffer.alloc(IVF_FRAME_HEADER_BYTES);
    frameHeader.writeUInt32LE(frame.length, 0);
    frameHeader.writeUInt32LE(index, 4);
    return [frameHeader, frame];
  });
  return Buffer.concat([header, ...parts]);
}

/** Cuts at access unit delimiters, which the encoder was told to write. */
function accessUnits(stream: Buffer): EncodedClipFrame[] {
  const delimiter = Buffer.from([0, 0, 0, 1, 0x09]);
  const frames: EncodedClipFrame[] = [];
  let start = stream.indexOf(delimiter);
  while (start >= 0) {
    const next = stream.indexOf(delimiter, start + delimiter.length);
    const data = stream.subarray(start, next < 0 ? stream.length : next);
    frames.push({ data, keyFrame: data.includes(Buffer.from([0, 0, 1, 0x65])) });
    start = next;
  }
  return frames;
}
