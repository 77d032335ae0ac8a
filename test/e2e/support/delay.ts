import { GENERATED } from "./frames.ts";
import type { Screen } from "./screen.ts";

/** Where a delay comes from, best first. */
export type DelaySource =
  /** requestVideoFrameCallback: capture time to the frame's presentation. */
  | "frameCaptureTime"
  /** abs-capture-time of the last played frame to its hand-over to the page. */
  | "captureTimestamp"
  /** The engine's own figure: capture to the frame leaving the engine. */
  | "engine";

/** What a viewer saw of a generated track for a while. */
export interface Watched {
  seconds: number;
  frames: number;
  delaysMs: number[];
  delaySource: DelaySource;
  /**
   * The picture's lag behind the voice: median of the last third of the time, because the browser
   * moves the voice by some 50 ms a second only. Null where the browser could not say.
   */
  avOffsetMs: number | null;
}

/**
 * Watches the viewer's generated track for `seconds`. Both browsers run on this machine, so
 * capture times compare directly with the viewer's clock.
 */
export async function watchGenerated(page: Screen, seconds: number): Promise<Watched> {
  const raw = await page.evaluate(
    async ({ selector, seconds }) => {
      const videos = [...document.querySelectorAll<HTMLVideoElement>(selector)];
      const video = videos.find((each) => each.videoWidth > 0);
      if (video === undefined) throw new Error(`expected a playing video for ${selector}`);
      const presented: { shownMs: number; captureMs: number | null }[] = [];
      let handle = 0;
      const onFrame: VideoFrameRequestCallback = (_now, metadata) => {
        presented.push({
          shownMs: metadata.presentationTime,
          captureMs: metadata.captureTime ?? null,
        });
        handle = video.requestVideoFrameCallback(onFrame);
      };
      handle = video.requestVideoFrameCallback(onFrame);
      const startedMs = performance.now();
      const ages: number[] = [];
      const offsets: number[] = [];
      const engine: number[] = [];
      while (performance.now() - startedMs < seconds * 1000) {
        await new Promise((resolve) => setTimeout(resolve, 250));
        const debug = window.__driftless;
        const sample = (await debug?.sample())?.find((each) => each.slot === "generated");
        if (sample === undefined) continue;
        if (sample.captureAgeMs !== null) ages.push(sample.captureAgeMs);
        if (sample.avOffsetMs !== null) offsets.push(sample.avOffsetMs);
        const sender = debug?.participants.find(
          (each) => each.participantId === sample.participantId,
        );
        const delay = sender?.transform?.delayMs;
        if (delay !== null && delay !== undefined) engine.push(delay);
      }
      video.cancelVideoFrameCallback(handle);
      const seconds_ = (performance.now() - startedMs) / 1000;
      return { presented, ages, offsets, engine, seconds: seconds_ };
    },
    { selector: GENERATED, seconds },
  );
  const exact = raw.presented.flatMap(({ shownMs, captureMs }) =>
    captureMs === null ? [] : [shownMs - captureMs],
  );
  const found: [DelaySource, number[]][] = [
    ["frameCaptureTime", exact],
    ["captureTimestamp", raw.ages],
    ["engine", raw.engine],
  ];
  const [delaySource, delaysMs] = found.find(([, delays]) => delays.length > 0) ?? ["engine", []];
  const settled = raw.offsets.slice(Math.floor((raw.offsets.length * 2) / 3));
  return {
    seconds: raw.seconds,
    frames: raw.presented.length,
    delaysMs,
    delaySource,
    avOffsetMs: settled.length === 0 ? null : percentile(settled, 0.5),
  };
}

/** The value below which `share` (0 to 1) of the values lie. Throws on an empty list. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  if (value === undefined) throw new Error("expected at least one value for a percentile");
  return value;
}
