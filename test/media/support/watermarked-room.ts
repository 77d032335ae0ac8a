/**
 * A camera whose room is a watermark: squares of saturated magenta and green, with a person before
 * them or nobody. Whatever shows the squares, shows the room.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { splitIvf } from "../clips.ts";

export const CAMERA_WIDTH = 360;
export const CAMERA_HEIGHT = 288;
const SQUARE = 24;
/** Camera pixels around the person in which hair and motion may show a little of what is behind. */
const MARGIN = 14;

const ffmpeg = process.env.FFMPEG_BIN ?? "ffmpeg";
const quiet = ["-hide_banner", "-loglevel", "error"];

/** +1 where the room is magenta, -1 where it is green. */
function watermark(x: number, y: number): number {
  return (Math.floor(x / SQUARE) + Math.floor(y / SQUARE)) % 2 === 0 ? 1 : -1;
}

function paintedRoom(): Buffer {
  const rgb = Buffer.alloc(CAMERA_WIDTH * CAMERA_HEIGHT * 3);
  for (let y = 0; y < CAMERA_HEIGHT; ++y) {
    for (let x = 0; x < CAMERA_WIDTH; ++x) {
      const at = (y * CAMERA_WIDTH + x) * 3;
      if (watermark(x, y) > 0) rgb[at] = rgb[at + 2] = 255;
      else rgb[at + 1] = 255;
    }
  }
  return Buffer.concat([Buffer.from(`P6\n${CAMERA_WIDTH} ${CAMERA_HEIGHT}\n255\n`), rgb]);
}

export interface WatermarkedClip {
  /** A 30 fps VP8 camera. */
  frames: Buffer[];
  /** For each frame and pixel whether the person, or the margin around her, is there. */
  person: Uint8Array[];
}

function bluePixels(rgb: Buffer): Uint8Array {
  const blue = new Uint8Array(rgb.length / 3);
  for (let i = 0; i < blue.length; ++i) {
    const [r = 0, g = 0, b = 0] = rgb.subarray(3 * i, 3 * i + 3);
    blue[i] = b > 90 && b - Math.max(r, g) > 35 ? 1 : 0;
  }
  return blue;
}

/** Each pixel that is not blue, and those around it. */
function personWithMargin(rgb: Buffer): Uint8Array {
  const blue = bluePixels(rgb);
  const spread = (from: Uint8Array, step: number, size: number, line: number, lines: number) => {
    const to = new Uint8Array(from.length);
    for (let l = 0; l < lines; ++l) {
      let left = 0;
      for (const backwards of [false, true]) {
        left = 0;
        for (let i = 0; i < size; ++i) {
          const at = l * line + (backwards ? size - 1 - i : i) * step;
          left = from[at] ? MARGIN + 1 : left - 1;
          if (left > 0) to[at] = 1;
        }
      }
    }
    return to;
  };
  const rows = spread(
    blue.map((value) => 1 - value),
    1,
    CAMERA_WIDTH,
    CAMERA_WIDTH,
    CAMERA_HEIGHT,
  );
  return spread(rows, CAMERA_WIDTH, CAMERA_HEIGHT, 1, CAMERA_WIDTH);
}

/** @param fromSeconds of the blue-screen clip; null: nobody is there */
export function watermarkedClip(fromSeconds: number | null, count: number): WatermarkedClip {
  const folder = mkdtempSync(path.join(os.tmpdir(), "driftless-room-"));
  try {
    const room = path.join(folder, "room.ppm");
    writeFileSync(room, paintedRoom());
    const behind = ["-loop", "1", "-framerate", "30", "-i", room];
    const codec = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "3M"];
    const output = ["-frames:v", `${count}`, "-pix_fmt", "yuv420p", "-r", "30", "-an"];
    const run = (parameters: string[]) =>
      execFileSync(ffmpeg, [...quiet, ...parameters], { maxBuffer: 1 << 29 });
    if (fromSeconds === null) {
      const frames = splitIvf(run([...behind, ...codec, ...output, "-f", "ivf", "-"]));
      return { frames, person: frames.map(() => new Uint8Array(CAMERA_WIDTH * CAMERA_HEIGHT)) };
    }
    const clips = process.env.DRIFTLESS_CLIPS;
    if (!clips) throw new Error("DRIFTLESS_CLIPS is not set; run the tests by npm test");
    const before = ["-ss", `${fromSeconds}`, "-i", path.join(clips, "franck.mp4")];
    const size = `scale=${CAMERA_WIDTH}:${CAMERA_HEIGHT}`;
    const keyed = `[1:v]fps=30,${size},chromakey=0x2030a0:0.14:0.03[p];[0:v][p]overlay=format=rgb`;
    const frames = splitIvf(
      run([...behind, ...before, "-filter_complex", keyed, ...codec, ...output, "-f", "ivf", "-"]),
    );
    const original = run([
      ...before,
      ...["-vf", `fps=30,${size}`, "-frames:v", `${count}`, "-an"],
      ...["-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
    ]);
    const bytes = CAMERA_WIDTH * CAMERA_HEIGHT * 3;
    const person = frames.map((_, index) =>
      personWithMargin(original.subarray(index * bytes, (index + 1) * bytes)),
    );
    return { frames, person };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * How much of the squares a picture shows: the mean difference of magenta and green where its room
 * has one or the other, the person's surroundings left out. 0: none; about 250: the camera's own.
 * The picture is the camera's, cropped around the centre to its own shape.
 */
export function watermarkSeen(
  rgb: Buffer,
  width: number,
  height: number,
  person: Uint8Array,
): { share: number; mean: number } {
  const scale = Math.min(CAMERA_WIDTH / width, CAMERA_HEIGHT / height);
  const left = (CAMERA_WIDTH - width * scale) / 2;
  const top = (CAMERA_HEIGHT - height * scale) / 2;
  const sums = [0, 0];
  const counts = [0, 0];
  for (let y = 0; y < height; ++y) {
    const cameraY = Math.min(CAMERA_HEIGHT - 1, Math.floor(top + (y + 0.5) * scale));
    for (let x = 0; x < width; ++x) {
      const cameraX = Math.min(CAMERA_WIDTH - 1, Math.floor(left + (x + 0.5) * scale));
      if (person[cameraY * CAMERA_WIDTH + cameraX]) continue;
      const at = (y * width + x) * 3;
      const value = ((rgb[at] ?? 0) + (rgb[at + 2] ?? 0)) / 2 - (rgb[at + 1] ?? 0);
      const side = watermark(cameraX, cameraY) > 0 ? 1 : 0;
      sums[side] = (sums[side] ?? 0) + value;
      counts[side] = (counts[side] ?? 0) + 1;
    }
  }
  const mean = (side: number) => (sums[side] ?? 0) / Math.max(1, counts[side] ?? 0);
  const seen = (counts[0] ?? 0) + (counts[1] ?? 0);
  return { share: seen / (width * height), mean: Math.abs(mean(1) - mean(0)) };
}
