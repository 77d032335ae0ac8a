/**
 * `npm run e2e -- [--json] [--seconds 15]`: one real Chromium publishes a webcam clip, a second one
 * watches; the transform is switched on through the page. Prints what the viewer saw; with --json
 * the last line is
 * {joinMs, firstGeneratedMs, generatedFps, delayP50Ms, delayP95Ms, avOffsetMs, changedByPrompt}
 * with `delaySource`, which says how the delay was measured, and `promptChangeMs`.
 */
import path from "node:path";
import { parseArgs } from "node:util";
import type { Browser, Page } from "playwright-core";
import { launchChromium } from "./support/browser.ts";
import { webcamMedia } from "./support/clips.ts";
import { percentile, watchGenerated } from "./support/delay.ts";
import { GENERATED } from "./support/frames.ts";
import { isClear, lookChange } from "./support/look-change.ts";
import { artifactsDir } from "./support/paths.ts";
import { startServer } from "./support/server.ts";
import { Visitor } from "./support/visitor.ts";

interface Report {
  /** Viewer: click on "Join" to the first picture of the publisher on screen. */
  joinMs: number;
  /** Publisher's click on a style to the first generated frame on the viewer's screen. */
  firstGeneratedMs: number;
  /** Generated frames on the viewer's screen in a second. */
  generatedFps: number;
  delayP50Ms: number | null;
  delayP95Ms: number | null;
  delaySource: string;
  /** How far the picture is behind the voice in the end; negative: ahead. Null: unknown. */
  avOffsetMs: number | null;
  /** The picture looks clearly different after another style was chosen. */
  changedByPrompt: boolean;
  /** Publisher's click on it to the first clearly different picture on the viewer's screen. */
  promptChangeMs: number | null;
}

const ROOM = "e2e";
const FIRST_STYLE = "Watercolour";
const SECOND_STYLE = "Cyberpunk";
/** From the choice of a style to frames that all have it. */
const SETTLE_MS = 5_000;
const CHANGE_LIMIT_MS = 20_000;

const { json, seconds } = readArguments();
const say = (line: string): void => console.log(line);

// The server and the browsers are children: they end with this program, however it ends.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const media = webcamMedia();
const server = await startServer();
const browsers: Browser[] = [];
try {
  const publishing = await launchChromium(media);
  browsers.push(publishing);
  const watching = await launchChromium(media);
  browsers.push(watching);
  const report = await measure(server.origin, publishing, watching);
  printReport(report);
  if (json) console.log(JSON.stringify(report));
} catch (error) {
  console.error(error);
  console.error(`The server's last words:\n${server.log().slice(-4_000)}`);
  process.exitCode = 1;
} finally {
  await Promise.all(browsers.map((browser) => browser.close()));
  await server.stop();
}

/** `--seconds` is how long the generated picture is watched. Throws on anything unknown. */
function readArguments(): { json: boolean; seconds: number } {
  const { values } = parseArgs({
    options: { json: { type: "boolean", default: false }, seconds: { type: "string" } },
  });
  const watch = Number(values.seconds ?? 15);
  if (!(watch >= 1 && watch <= 3600)) {
    throw new Error(`expected --seconds between 1 and 3600, got ${values.seconds}`);
  }
  return { json: values.json, seconds: watch };
}

async function measure(origin: string, publishing: Browser, watching: Browser): Promise<Report> {
  const publisher = await Visitor.join(publishing, origin, { name: "Publisher", roomId: ROOM });
  say("publisher: in the room, camera on");
  const viewer = await Visitor.join(watching, origin, {
    name: "Viewer",
    roomId: ROOM,
    devices: false,
  });
  const joinMs =
    (await firstFrameAt(viewer.page, "video[data-track=original]")) - viewer.joinedAtMs;
  say(`viewer: sees the publisher ${joinMs} ms after joining`);

  const firstFrame = firstFrameAt(viewer.page, GENERATED);
  const chosenAtMs = Date.now();
  await publisher.chooseStyle(FIRST_STYLE);
  const firstGeneratedMs = (await firstFrame) - chosenAtMs;
  await viewer.waitForGenerated();
  say(`viewer: first generated frame ${firstGeneratedMs} ms after the click on ${FIRST_STYLE}`);

  await viewer.page.waitForTimeout(SETTLE_MS);
  const watched = await watchGenerated(viewer.page, seconds);
  await screenshot(publisher, "publisher.png");
  await screenshot(viewer, "viewer.png");

  const change = await lookChange(
    viewer.page,
    () => publisher.chooseStyle(SECOND_STYLE),
    CHANGE_LIMIT_MS,
  );
  const { byItself, byPrompt } = change;
  say(`mean picture moved by ${round(byItself)} of itself, by ${round(byPrompt)} with the style`);
  await screenshot(viewer, "viewer-second-style.png");
  const known = watched.delaysMs.length > 0;
  return {
    joinMs,
    firstGeneratedMs,
    generatedFps: round(watched.frames / watched.seconds),
    delayP50Ms: known ? round(percentile(watched.delaysMs, 0.5)) : null,
    delayP95Ms: known ? round(percentile(watched.delaysMs, 0.95)) : null,
    delaySource: watched.delaySource,
    avOffsetMs: watched.avOffsetMs === null ? null : round(watched.avOffsetMs),
    changedByPrompt: isClear(change),
    promptChangeMs: change.tookMs,
  };
}

/** Unix ms at which the first matching video shows its next frame. */
function firstFrameAt(page: Page, selector: string): Promise<number> {
  return page.evaluate(async (wanted) => {
    const videos = [...document.querySelectorAll<HTMLVideoElement>(wanted)];
    if (videos.length === 0) throw new Error(`expected a video for ${wanted}`);
    return Promise.race(
      videos.map(
        (video) =>
          new Promise<number>((resolve) => {
            video.requestVideoFrameCallback(() => resolve(Date.now()));
          }),
      ),
    );
  }, selector);
}

async function screenshot(visitor: Visitor, name: string): Promise<void> {
  await visitor.page.screenshot({ path: path.join(artifactsDir(), name) });
}

function printReport(report: Report): void {
  const ms = (value: number | null): string => (value === null ? "unknown" : `${value} ms`);
  say("");
  say(`time to join             ${ms(report.joinMs)}`);
  say(`first generated frame    ${ms(report.firstGeneratedMs)}`);
  say(`generated frames         ${report.generatedFps} a second`);
  say(`delay (${report.delaySource})  p50 ${ms(report.delayP50Ms)}, p95 ${ms(report.delayP95Ms)}`);
  say(`picture behind the voice ${ms(report.avOffsetMs)}`);
  say(
    `style follows the choice ${report.changedByPrompt ? "yes" : "no"}, ${ms(report.promptChangeMs)}`,
  );
  say(`screenshots              ${artifactsDir()}`);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
