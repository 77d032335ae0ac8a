/** Clips whose frames carry their number as bars, so that a frame is known wherever it turns up. */
import { execFileSync } from "node:child_process";
import type { VideoCodec } from "../../../server/engine/process/native.ts";
import { splitAccessUnits, splitIvf } from "../clips.ts";

const FFMPEG = process.env.FFMPEG_BIN ?? "ffmpeg";

export const CLIP_FPS = 25;
/** Frames of a clip: two seconds, with a key frame each second. */
export const CLIP_FRAMES = 2 * CLIP_FPS;
/** The number is drawn as so many vertical bars, the lowest bit on the left, white for 1. */
const BARS = 6;

export interface ClipFrame {
  data: Buffer;
  keyFrame: boolean;
}

const ENCODER: Record<VideoCodec, string[]> = {
  vp8: ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-f", "ivf"],
  h264: [
    ...[
      "-c:v",
      "libx264",
      "-preset",
      "ultrafast",
      "-tune",
      "zerolatency",
      "-profile:v",
      "baseline",
    ],
    ...["-x264-params", "aud=1:repeat-headers=1", "-f", "h264"],
  ],
};

/** @param size as ffmpeg writes it, such as 320x180 */
export function makeBarcodeClip(codec: VideoCodec, size: string): ClipFrame[] {
  const bit = `bitand(N\\,pow(2\\,floor(X*${BARS}/W)))`;
  const source = `nullsrc=size=${size}:rate=${CLIP_FPS}`;
  const bars = `geq=lum='if(${bit}\\,235\\,16)':cb=110:cr=150`;
  const input = ["-f", "lavfi", "-i", `${source},${bars}`, "-frames:v", String(CLIP_FRAMES)];
  const pixels = ["-pix_fmt", "yuv420p", "-g", String(CLIP_FPS), "-b:v", "800k"];
  const stream = execFileSync(
    FFMPEG,
    ["-hide_banner", "-loglevel", "error", ...input, ...pixels, ...ENCODER[codec], "-"],
    { maxBuffer: 1 << 26 },
  );
  return codec === "vp8"
    ? splitIvf(stream).map((data) => ({ data, keyFrame: ((data[0] ?? 1) & 1) === 0 }))
    : splitAccessUnits(stream).map((data) => ({
        data,
        keyFrame: data.includes(Buffer.from([0, 0, 1, 0x65])),
      }));
}

/** The frame number that an RGB picture shows. */
export function readBarcode(rgb: Buffer, width: number, height: number): number {
  const row = Math.floor(height / 2) * width;
  let value = 0;
  for (let bar = 0; bar < BARS; bar += 1) {
    const x = Math.floor(((bar + 0.5) * width) / BARS);
    // Green stands for luminance well enough between black and white.
    value |= (rgb[(row + x) * 3 + 1] ?? 0) > 128 ? 1 << bar : 0;
  }
  return value;
}
