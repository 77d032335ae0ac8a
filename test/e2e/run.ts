/**
 * `npm run e2e -- [--json] [--seconds 15] [--browser firefox] [--camera 720x1280] [--clip FILE]`: one
 * real browser publishes a webcam clip, a second one watches; the transform is switched on through
 * the page. Prints what the viewer saw; with --json the last line is
 * {joinMs, firstGeneratedMs, generatedFps, delayP50Ms, delayP95Ms, avOffsetMs, changedByPrompt}
 * with `delaySource`, which says how the delay was measured, `promptChangeMs`, `browser`, and the
 * size of the generated picture (`outputWidth`, `outputHeight`).
 *
 * `--lips` measures lip sync with flashes and beeps instead (test/e2e/lips.ts); its last line is
 * {avOffsetMs, original, afterOn, afterDelayChange, afterOff}.
 */
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FLASH, measureLips } from "./lips.ts";
import { launchBrowser } from "./support/browser.ts";
import { webcamMedia } from "./support/clips.ts";
import { percentile, watchGenerated } from "./support/delay.ts";
import { GENERATED } from "./support/frames.ts";
import { isClear, lookChange } from "./support/look-change.ts";
import { readOptions } from "./support/options.ts";
import { artifactsDir } from "./support/paths.ts";
import type { BrowserName, Person, Screen, TestBrowser } from "./support/screen.ts";
import { mediaForFirefox, startServer } from "./support/server.ts";

interface Report {
  browser: BrowserName;
  /** Viewer: click on "Join" to the first picture of the publisher on screen. */
  joinMs: number;
  /** Publisher's click on a style to the first generated frame on the viewer's screen. */
  firstGeneratedMs: number;
  /** Generated frames on the viewer's screen in a second. */
  generatedFps: number;
  /** Size of the generated picture, as the viewer's browser decodes it. */
  outputWidth: number;
  outputHeight: number;
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

const options = readOptions(process.argv.slice(2));
const say = (line: string): void => console.log(line);

// The server and the browsers are children: they end with this program, however it ends.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const media = webcamMedia({ ...options.camera, clip: options.clip });
const server = await startServer(
  options.browser === "firefox" ? { sfu: await mediaForFirefox() } : {},
);
const browsers: TestBrowser[] = [];
const launch = async (): Promise<TestBrowser> => {
  const browser = await launchBrowser(options.browser, media, options.lips ? FLASH : null);
  browsers.push(browser);
  return browser;
};
try {
  const publishing = await launch();
  const watching = await launch();
  const { origin } = server;
  const report = options.lips
    ? await measureLips({ origin, publishing, watching, seconds: options.seconds, say })
    : await measure(origin, publishing, watching);
  if ("joinMs" in report) printReport(report);
  if (options.json) console.log(JSON.stringify(report));
} catch (error) {
  console.error(error);
  console.error(`The server's last words:\n${server.log().slice(-4_000)}`);
  process.exitCode = 1;
} finally {
  await Promise.all(browsers.map((browser) => browser.close()));
  await server.stop();
}

async function measure(
  origin: string,
  publishing: TestBrowser,
  watching: TestBrowser,
): Promise<Report> {
  const publisher = await publishing.join(origin, { name: "Publisher", roomId: ROOM });
  say("publisher: in the room, camera on");
  const viewer = await watching.join(origin, { name: "Viewer", roomId: ROOM, devices: false });
  const joinMs =
    (await firstFrameAt(viewer.page, "video[data-track=original]")) - viewer.joinedAtMs;
  say(`viewer: sees the publisher ${joinMs} ms after joining`);

  const firstFrame = firstFrameAt(viewer.page, GENERATED);
  const chosenAtMs = Date.now();
  await publisher.chooseStyle(FIRST_STYLE);
  const firstGeneratedMs = (await firstFrame) - chosenAtMs;
  await viewer.waitForGenerated();
  say(`viewer: first generated frame ${firstGeneratedMs} ms after the click on ${FIRST_STYLE}`);

  await sleep(SETTLE_MS);
  const watched = await watchGenerated(viewer.page, options.seconds);
  const output = await sizeOf(viewer.page, GENERATED);
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
    browser: watching.name,
    joinMs,
    firstGeneratedMs,
    generatedFps: round(watched.frames / watched.seconds),
    outputWidth: output.width,
    outputHeight: output.height,
    delayP50Ms: known ? round(percentile(watched.delaysMs, 0.5)) : null,
    delayP95Ms: known ? round(percentile(watched.delaysMs, 0.95)) : null,
    delaySource: watched.delaySource,
    avOffsetMs: watched.avOffsetMs === null ? null : round(watched.avOffsetMs),
    changedByPrompt: isClear(change),
    promptChangeMs: change.tookMs,
  };
}

/** Unix ms at which the first matching video shows its next frame. Throws after half a minute. */
function firstFrameAt(page: Screen, selector: string): Promise<number> {
  return page.evaluate(async (wanted) => {
    const LIMIT_MS = 30_000;
    return new Promise<number>((resolve, reject) => {
      // Some pages make the element only when there is something to show.
      const asked = new WeakSet<HTMLVideoElement>();
      const look = (): void => {
        for (const video of document.querySelectorAll<HTMLVideoElement>(wanted)) {
          if (asked.has(video)) continue;
          asked.add(video);
          video.requestVideoFrameCallback(() => {
            clearInterval(timer);
            resolve(Date.now());
          });
        }
      };
      const timer = setInterval(look, 20);
      look();
      setTimeout(() => {
        clearInterval(timer);
        reject(new Error(`expected a frame of ${wanted} within ${LIMIT_MS} ms`));
      }, LIMIT_MS);
    });
  }, selector);
}

function sizeOf(page: Screen, selector: string): Promise<{ width: number; height: number }> {
  return page.evaluate((wanted) => {
    const videos = [...document.querySelectorAll<HTMLVideoElement>(wanted)];
    const video = videos.find((each) => each.videoWidth > 0);
    if (video === undefined) throw new Error(`expected a playing video for ${wanted}`);
    return { width: video.videoWidth, height: video.videoHeight };
  }, selector);
}

async function screenshot(person: Person, name: string): Promise<void> {
  await person.page.screenshot({ path: path.join(artifactsDir(), name) });
}

function printReport(report: Report): void {
  const ms = (value: number | null): string => (value === null ? "unknown" : `${value} ms`);
  say("");
  say(`browser                  ${report.browser}`);
  say(`time to join             ${ms(report.joinMs)}`);
  say(`first generated frame    ${ms(report.firstGeneratedMs)}`);
  say(`generated frames         ${report.generatedFps} a second`);
  say(`generated picture        ${report.outputWidth}x${report.outputHeight}`);
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
