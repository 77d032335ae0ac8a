import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import type { FakeMedia } from "./clips.ts";

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
