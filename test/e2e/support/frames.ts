import type { Screen } from "./screen.ts";

/** A small picture of what a video element showed, for comparisons. */
export interface Frame {
  /** Unix ms. */
  atMs: number;
  /** WIDTH x HEIGHT pixels of red, green, blue, 0 to 255. */
  rgb: Uint8Array;
}

export const WIDTH = 96;
export const HEIGHT = 54;

/** What the person in front of the camera shows, also while the tile shows the generated picture. */
export const OWN_CAMERA = "video[data-self-view], .room video[data-track=original]";
export const GENERATED = "video[data-track=generated]";

/**
 * Takes `count` frames of the first playing video that `selector` matches, one each `everyMs`.
 * Throws when none of them plays.
 */
export async function takeFrames(
  page: Screen,
  selector: string,
  count: number,
  everyMs: number,
): Promise<Frame[]> {
  const taken = await page.evaluate(
    async ({ selector, count, everyMs, width, height }) => {
      const videos = [...document.querySelectorAll<HTMLVideoElement>(selector)];
      const video = videos.find((each) => each.videoWidth > 0);
      if (video === undefined) throw new Error(`expected a playing video for ${selector}`);
      const canvas = document.createElement("canvas");
      canvas.width = width;
      canvas.height = height;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      if (context === null) throw new Error("expected a 2d context");
      const frames: { atMs: number; pixels: string }[] = [];
      for (let i = 0; i < count; i += 1) {
        if (i > 0) await new Promise((resolve) => setTimeout(resolve, everyMs));
        context.drawImage(video, 0, 0, width, height);
        const { data } = context.getImageData(0, 0, width, height);
        frames.push({ atMs: Date.now(), pixels: btoa(String.fromCharCode(...data)) });
      }
      return frames;
    },
    { selector, count, everyMs, width: WIDTH, height: HEIGHT },
  );
  return taken.map(({ atMs, pixels }) => ({ atMs, rgb: withoutAlpha(pixels) }));
}

/** The frame that was taken closest to a moment (Unix ms). Throws on an empty list. */
export function closestInTime(frames: readonly Frame[], atMs: number): Frame {
  const distance = (frame: Frame): number => Math.abs(frame.atMs - atMs);
  return frames.reduce((best, frame) => (distance(frame) < distance(best) ? frame : best));
}

/** Mean absolute difference of two frames, 0 (equal) to 255. */
export function meanDifference(a: Frame, b: Frame): number {
  let sum = 0;
  for (let i = 0; i < a.rgb.length; i += 1) sum += Math.abs((a.rgb[i] ?? 0) - (b.rgb[i] ?? 0));
  return sum / a.rgb.length;
}

/** Pixel-wise mean of frames: motion blurs away, the look and the place of things stay. */
export function meanFrame(frames: readonly Frame[]): Frame {
  const sum = new Float64Array(WIDTH * HEIGHT * 3);
  for (const { rgb } of frames) {
    for (let i = 0; i < sum.length; i += 1) sum[i] = (sum[i] ?? 0) + (rgb[i] ?? 0);
  }
  return {
    atMs: frames.at(-1)?.atMs ?? 0,
    rgb: Uint8Array.from(sum, (value) => Math.round(value / frames.length)),
  };
}

/** The frame seen in a mirror: what an unrelated picture of the same kind looks like. */
export function mirrored(frame: Frame): Frame {
  const rgb = new Uint8Array(frame.rgb.length);
  for (let y = 0; y < HEIGHT; y += 1) {
    for (let x = 0; x < WIDTH; x += 1) {
      const from = (y * WIDTH + (WIDTH - 1 - x)) * 3;
      rgb.set(frame.rgb.subarray(from, from + 3), (y * WIDTH + x) * 3);
    }
  }
  return { atMs: frame.atMs, rgb };
}

/**
 * How much the outlines of two frames agree, -1 to 1: correlation of their edge maps. Colours and
 * brightness do not matter, so a repainted picture agrees with its input and not with another one.
 */
export function edgeAgreement(a: Frame, b: Frame): number {
  return correlation(edges(a), edges(b));
}

function withoutAlpha(base64: string): Uint8Array {
  const rgba = Buffer.from(base64, "base64");
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let i = 0; i * 4 < rgba.length; i += 1) {
    rgb.set(rgba.subarray(i * 4, i * 4 + 3), i * 3);
  }
  return rgb;
}

/** Gradient magnitude of the blurred luma, blurred again so that edges may be a pixel off. */
function edges(frame: Frame): Float64Array {
  const luma = new Float64Array(WIDTH * HEIGHT);
  for (let i = 0; i < luma.length; i += 1) {
    const [r = 0, g = 0, b = 0] = frame.rgb.subarray(i * 3, i * 3 + 3);
    luma[i] = 0.299 * r + 0.587 * g + 0.114 * b;
  }
  const soft = blur(luma);
  const out = new Float64Array(luma.length);
  for (let y = 1; y < HEIGHT - 1; y += 1) {
    for (let x = 1; x < WIDTH - 1; x += 1) {
      const i = y * WIDTH + x;
      const dx = (soft[i + 1] ?? 0) - (soft[i - 1] ?? 0);
      const dy = (soft[i + WIDTH] ?? 0) - (soft[i - WIDTH] ?? 0);
      out[i] = Math.hypot(dx, dy);
    }
  }
  return blur(out);
}

/** Mean over 3x3 pixels; the border keeps its values. */
function blur(image: Float64Array): Float64Array {
  const out = image.slice();
  for (let y = 1; y < HEIGHT - 1; y += 1) {
    for (let x = 1; x < WIDTH - 1; x += 1) {
      let sum = 0;
      for (let dy = -1; dy <= 1; dy += 1) {
        for (let dx = -1; dx <= 1; dx += 1) sum += image[(y + dy) * WIDTH + x + dx] ?? 0;
      }
      out[y * WIDTH + x] = sum / 9;
    }
  }
  return out;
}

function correlation(a: Float64Array, b: Float64Array): number {
  const mean = (values: Float64Array): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const meanA = mean(a);
  const meanB = mean(b);
  let ab = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i += 1) {
    const da = (a[i] ?? 0) - meanA;
    const db = (b[i] ?? 0) - meanB;
    ab += da * db;
    aa += da * da;
    bb += db * db;
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}
