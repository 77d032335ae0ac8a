/** When a flash is seen and a beep is heard in the page of somebody who watches. */
import type { Screen } from "./screen.ts";

export interface Event {
  /** The page's own monotonic clock, ms. */
  atMs: number;
}

/** Everything seen and heard so far. */
export interface Observed {
  flashes: Event[];
  beeps: Event[];
  /** The page's clock now, ms. */
  nowMs: number;
}

/** Starts to watch and listen in the page; `observed` reads what came. */
export async function startProbe(page: Screen): Promise<void> {
  await page.evaluate(installProbe);
}

export function observed(page: Screen): Promise<Observed> {
  return page.evaluate(() => {
    const { __lips: probe } = window as unknown as { __lips: Omit<Observed, "nowMs"> };
    return { flashes: probe.flashes, beeps: probe.beeps, nowMs: performance.now() };
  });
}

/**
 * How far each flash is behind its beep, ms; negative: the picture is ahead. A flash whose beep is
 * further away than `reachMs` was not heard, and counts for nothing.
 */
export function offsets(
  { flashes, beeps }: Pick<Observed, "flashes" | "beeps">,
  reachMs: number,
): { atMs: number; offsetMs: number }[] {
  return flashes.flatMap(({ atMs }) => {
    const nearest = beeps
      .map((beep) => atMs - beep.atMs)
      .reduce((best, each) => (Math.abs(each) < Math.abs(best) ? each : best), Infinity);
    return Math.abs(nearest) <= reachMs ? [{ atMs, offsetMs: nearest }] : [];
  });
}

/** Runs in the page. */
function installProbe(): void {
  const flashes: { atMs: number }[] = [];
  const beeps: { atMs: number }[] = [];
  Object.assign(window, { __lips: { flashes, beeps } });
  // Two flashes are further apart than this, and one is shorter.
  const REST_MS = 900;

  // The eye: mean brightness of what is on screen against its own recent past.
  const WIDTH = 32;
  const HEIGHT = 18;
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const drawing = canvas.getContext("2d", { willReadFrequently: true });
  if (drawing === null) throw new Error("expected a 2d context");
  const recent: number[] = [];
  const brightness = (video: HTMLVideoElement): number => {
    drawing.drawImage(video, 0, 0, WIDTH, HEIGHT);
    const { data } = drawing.getImageData(0, 0, WIDTH, HEIGHT);
    let sum = 0;
    for (let i = 0; i < data.length; i += 4) sum += (data[i] ?? 0) + (data[i + 1] ?? 0);
    return sum / (data.length / 2);
  };
  const look = (video: HTMLVideoElement, presentedMs: number): void => {
    const now = brightness(video);
    const before = [...recent].sort((a, b) => a - b)[Math.floor(recent.length / 2)] ?? now;
    const last = flashes.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY;
    if (recent.length >= 5 && now - before > 30 && presentedMs - last > REST_MS) {
      flashes.push({ atMs: presentedMs });
    }
    recent.push(now);
    if (recent.length > 24) recent.shift();
  };
  const watched = new WeakSet<HTMLVideoElement>();
  const follow = (video: HTMLVideoElement): void => {
    watched.add(video);
    const onFrame: VideoFrameRequestCallback = (_now, { presentationTime }) => {
      if (!video.isConnected) {
        watched.delete(video);
        return;
      }
      // Only what is on screen: the other picture of a tile plays on behind it.
      if (video.dataset.shown === "true") look(video, presentationTime);
      video.requestVideoFrameCallback(onFrame);
    };
    video.requestVideoFrameCallback(onFrame);
  };

  // The ear: where the tone begins, to a block of samples, by the clock of the samples themselves.
  const BLOCK = 256;
  const context = new AudioContext({ sampleRate: 48_000 });
  void context.resume();
  let quietSince = 0;
  let clockOffsetMs = Number.POSITIVE_INFINITY;
  const heard = new WeakSet<MediaStream>();
  const listen = (stream: MediaStream): void => {
    heard.add(stream);
    const source = context.createMediaStreamSource(stream);
    const ear = context.createScriptProcessor(BLOCK, 1, 1);
    ear.onaudioprocess = ({ inputBuffer, playbackTime }) => {
      const samples = inputBuffer.getChannelData(0);
      const playedMs = playbackTime * 1000;
      // The page is late with some blocks, never early: the smallest difference is the clocks'.
      clockOffsetMs = Math.min(clockOffsetMs + 0.001, performance.now() - playedMs);
      const first = samples.findIndex((sample) => Math.abs(sample) > 0.05);
      if (first < 0) return;
      const atMs = playedMs + clockOffsetMs + ((first - BLOCK) * 1000) / 48_000;
      const last = beeps.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY;
      if (atMs - last > REST_MS && atMs - quietSince > 300) beeps.push({ atMs });
      quietSince = atMs;
    };
    source.connect(ear).connect(context.destination);
  };

  setInterval(() => {
    for (const video of document.querySelectorAll<HTMLVideoElement>("video[data-track]")) {
      if (!watched.has(video) && video.isConnected) follow(video);
    }
    for (const { srcObject } of document.querySelectorAll("audio")) {
      if (!(srcObject instanceof MediaStream) || heard.has(srcObject)) continue;
      if (srcObject.getAudioTracks().length > 0) listen(srcObject);
    }
  }, 100);
}
