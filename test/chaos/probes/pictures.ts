/** What one viewer saw: when frames came, and what was in those of the person who hides the room. */
import { spawn } from "node:child_process";
import type { SeenFrame } from "../../../loadtest/viewer.ts";
import { createDepacketizer } from "../../../server/engine/process/rtp/depacketize.ts";
import { LOOK_HEIGHT, LOOK_WIDTH, showsRoom } from "./watermark.ts";

interface KeptFrame {
  atMs: number;
  data: Buffer;
  keyFrame: boolean;
}

/** Of one stream; a key frame comes first. */
interface KeptStream {
  who: string;
  frames: KeptFrame[];
  /** A frame was lost: what follows cannot be decoded until the next key frame. */
  broken: boolean;
}

/** Encoded pictures of a case are kept up to this; later ones are counted as not looked at. */
const MAX_BYTES = 256 * 1024 * 1024;
const vp8 = createDepacketizer("vp8");

export class Pictures {
  /** Frames that were not decoded: lost parts, or beyond the bound. */
  unseen = 0;
  readonly #nowMs: () => number;
  readonly #arrivals = new Map<string, number[]>();
  readonly #streams = new Map<string, KeptStream>();
  readonly #watched: ReadonlySet<string>;
  #bytes = 0;

  /** @param watched names of those whose pictures are looked into */
  constructor(watched: Iterable<string>, nowMs: () => number) {
    this.#watched = new Set(watched);
    this.#nowMs = nowMs;
  }

  /** @param who name of the person in the picture */
  add(who: string, frame: SeenFrame): void {
    const arrivals = this.#arrivals.get(`${who} ${frame.track}`) ?? [];
    arrivals.push(frame.atMs);
    this.#arrivals.set(`${who} ${frame.track}`, arrivals);
    if (this.#watched.has(who)) this.#keep(who, frame);
  }

  /** Frames of somebody after a moment, of one track or of both. */
  count(who: string, sinceMs: number, track?: SeenFrame["track"]): number {
    return this.#times(who, track).filter((at) => at > sinceMs).length;
  }

  /** The longest time without a frame between two moments, ms. */
  longestGapMs(who: string, fromMs: number, toMs = this.#nowMs()): number {
    let last = fromMs;
    let longest = 0;
    for (const at of this.#times(who)) {
      if (at < fromMs || at > toMs) continue;
      longest = Math.max(longest, at - last);
      last = at;
    }
    return Math.round(Math.max(longest, toMs - last));
  }

  /** Decodes everything that was kept: how many pictures there are, and when some showed the room. */
  async look(): Promise<{ pictures: number; raw: number; rawAtMs: number[] }> {
    let pictures = 0;
    const rawAtMs: number[] = [];
    for (const { frames } of this.#streams.values()) {
      let n = 0;
      for await (const rgb of decode(frames)) {
        if (showsRoom(rgb)) rawAtMs.push(frames[Math.min(n, frames.length - 1)]?.atMs ?? 0);
        n += 1;
      }
      pictures += n;
    }
    return { pictures, raw: rawAtMs.length, rawAtMs };
  }

  #times(who: string, track?: SeenFrame["track"]): number[] {
    const tracks = track === undefined ? (["original", "generated"] as const) : [track];
    return tracks
      .flatMap((each) => this.#arrivals.get(`${who} ${each}`) ?? [])
      .sort((a, b) => a - b);
  }

  #keep(who: string, { ssrc, payloads, whole, atMs }: SeenFrame): void {
    const key = `${who} ${ssrc}`;
    const stream = this.#streams.get(key) ?? { who, frames: [], broken: true };
    this.#streams.set(key, stream);
    const frame = vp8.assemble(payloads);
    if (frame === null || !whole) stream.broken = true;
    if (frame?.keyFrame) stream.broken = false;
    if (frame === null || stream.broken || this.#bytes + frame.data.length > MAX_BYTES) {
      this.unseen += 1;
      return;
    }
    this.#bytes += frame.data.length;
    stream.frames.push({ ...frame, atMs });
  }
}

/** Small RGB pictures of VP8 frames, by the system's ffmpeg. */
async function* decode(frames: readonly KeptFrame[]): AsyncGenerator<Buffer> {
  if (frames.length === 0) return;
  const size = `${LOOK_WIDTH}:${LOOK_HEIGHT}`;
  const child = spawn(
    process.env.FFMPEG_BIN ?? "ffmpeg",
    [
      ...["-v", "fatal", "-f", "ivf", "-i", "pipe:0", "-fps_mode", "passthrough"],
      ...["-vf", `scale=${size}:flags=area`, "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"],
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const failed = new Promise<never>((_, reject) => child.once("error", reject));
  failed.catch(() => undefined);
  // ffmpeg may end early at a broken stream; what it decoded counts.
  child.stdin.on("error", () => undefined);
  child.stdin.end(ivf(frames));
  const bytes = LOOK_WIDTH * LOOK_HEIGHT * 3;
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of child.stdout) {
    rest = Buffer.concat([rest, chunk as Buffer]);
    let at = 0;
    for (; rest.length - at >= bytes; at += bytes) yield rest.subarray(at, at + bytes);
    rest = rest.subarray(at);
  }
}

/** The size in the header is a hint; a decoder takes that of the key frames. */
function ivf(frames: readonly KeptFrame[]): Buffer {
  const header = Buffer.alloc(32);
  header.write("DKIF", 0, "latin1");
  header.writeUInt16LE(32, 6);
  header.write("VP80", 8, "latin1");
  header.writeUInt16LE(640, 12);
  header.writeUInt16LE(360, 14);
  header.writeUInt32LE(24, 16);
  header.writeUInt32LE(1, 20);
  header.writeUInt32LE(frames.length, 24);
  const parts = frames.flatMap(({ data }, n) => {
    const before = Buffer.alloc(12);
    before.writeUInt32LE(data.length, 0);
    before.writeUInt32LE(n, 4);
    return [before, data];
  });
  return Buffer.concat([header, ...parts]);
}
