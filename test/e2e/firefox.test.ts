import { expect } from "chai";
import { launchBrowser } from "./support/browser.ts";
import { webcamMedia } from "./support/clips.ts";
import { watchGenerated } from "./support/delay.ts";
import { type Person, type TestBrowser, untilSeen } from "./support/screen.ts";
import { mediaForFirefox, startServer, type TestServer } from "./support/server.ts";

/** Two slow cores carry two browsers, the server and the model: patience, not speed, is tested. */
const STEP_LIMIT_MS = 60_000;

describe("a room with Firefox and Chromium", function () {
  this.timeout(2 * STEP_LIMIT_MS);

  let server: TestServer;
  let browsers: TestBrowser[] = [];

  before(async () => {
    const media = webcamMedia();
    server = await startServer({ sfu: await mediaForFirefox() });
    browsers = [await launchBrowser("firefox", media), await launchBrowser("chromium", media)];
  });

  after(async () => {
    await Promise.all(browsers.map((browser) => browser.close()));
    await server?.stop();
  });

  it("repaints what Firefox sends, and Firefox shows what Chromium sends", async () => {
    const [firefox, chromium] = browsers as [TestBrowser, TestBrowser];
    const fox: Person = await firefox.join(server.origin, { name: "Fox", roomId: "both" });
    const ada: Person = await chromium.join(server.origin, { name: "Ada", roomId: "both" });
    await fox.chooseStyle("Watercolour");
    await ada.chooseStyle("Watercolour");
    for (const { page } of [fox, ada]) {
      // One's own picture is shown to oneself as others get it.
      await untilSeen(
        "two generated pictures",
        () => page.evaluate(playingGenerated).then((count) => count === 2),
        STEP_LIMIT_MS,
      );
      const { frames } = await watchGenerated(page, 3);
      expect(frames, "generated frames while watching").to.be.greaterThan(3);
    }
  });
});

/** In the page. */
function playingGenerated(): number {
  const shown = 'video[data-track="generated"][data-shown="true"]';
  const videos = [...document.querySelectorAll<HTMLVideoElement>(shown)];
  return videos.filter((video) => video.videoWidth > 0).length;
}
