import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import type { FakeMedia } from "./clips.ts";
import type { FakeDeviceOptions } from "./fake-devices.ts";
import { devicesOf, FirefoxVisitor, launchFirefox } from "./firefox.ts";
import type { BrowserName, TestBrowser } from "./screen.ts";
import { Visitor } from "./visitor.ts";

/**
 * A headless Chromium with the given fake camera and microphone.
 * DRIFTLESS_CHROMIUM names another browser than /usr/bin/chromium.
 */
export async function launchChromium(media: FakeMedia): Promise<Browser> {
  const executablePath = process.env.DRIFTLESS_CHROMIUM ?? "/usr/bin/chromium";
  if (!existsSync(executablePath)) {
    throw new Error(
      `expected Chromium at ${executablePath}; install it (apt-get install chromium) or set DRIFTLESS_CHROMIUM`,
    );
  }
  return chromium.launch({
    executablePath,
    headless: true,
    args: [
      // Containers run the tests as root, where Chromium's sandbox refuses to start.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      `--use-file-for-fake-video-capture=${media.videoFile}`,
      `--use-file-for-fake-audio-capture=${media.audioFile}`,
      // A page in the background must not be slowed down: both pages are measured.
      "--disable-background-timer-throttling",
      "--disable-backgrounding-occluded-windows",
      "--disable-renderer-backgrounding",
      "--autoplay-policy=no-user-gesture-required",
    ],
  });
}

/**
 * A browser by name, for one person.
 * @param flash set: camera and microphone flash and beep together (both browsers make them in the
 * page then; Firefox always does)
 */
export async function launchBrowser(
  name: BrowserName,
  media: FakeMedia,
  flash: FakeDeviceOptions["flash"] = null,
): Promise<TestBrowser> {
  if (name === "firefox") {
    const browser = await launchFirefox();
    return {
      name,
      join: (origin, options) =>
        FirefoxVisitor.join(browser, origin, options, devicesOf(media, flash)),
      close: () => browser.close(),
    };
  }
  const browser = await launchChromium(media);
  const devices = flash === null ? null : devicesOf(media, flash);
  return {
    name,
    join: (origin, options) => Visitor.join(browser, origin, options, devices),
    close: () => browser.close(),
  };
}
