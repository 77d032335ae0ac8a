/** Firefox by WebDriver BiDi: no driver program, no patched browser. */
import { existsSync } from "node:fs";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { type FakeMedia, picturesOf } from "./clips.ts";
import { type FakeDeviceOptions, installFakeDevices } from "./fake-devices.ts";
import { type Person, type PersonOptions, type Screen, untilSeen } from "./screen.ts";
import { openSoundSink } from "./sound-sink.ts";

/** A loop of this length keeps what is sent to the page below a few megabytes. */
const LOOP_SECONDS = 8;

const PREFERENCES = {
  "media.navigator.permission.disabled": true,
  "media.navigator.streams.fake": true,
  "media.autoplay.default": 0,
  "media.autoplay.blocking_policy": 0,
  "media.autoplay.block-webaudio": false,
  "dom.min_background_timeout_value": 4,
  "dom.timeout.throttling_delay": -1,
  // No calls home, no first pages.
  "browser.startup.homepage_override.mstone": "ignore",
  "datareporting.policy.dataSubmissionEnabled": false,
  "toolkit.telemetry.reportingpolicy.firstRun": false,
  "app.update.disabledForTesting": true,
  "media.gmp-manager.updateEnabled": false,
  "extensions.update.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
} as const;

/**
 * A headless Firefox, with somewhere for its sound to go. DRIFTLESS_FIREFOX names another one than /usr/bin/firefox-esr.
 * Throws where there is none.
 */
export async function launchFirefox(): Promise<Browser> {
  const executablePath = process.env.DRIFTLESS_FIREFOX ?? "/usr/bin/firefox-esr";
  if (!existsSync(executablePath)) {
    throw new Error(
      `expected Firefox at ${executablePath}; install it (apt-get install firefox-esr) or set DRIFTLESS_FIREFOX`,
    );
  }
  const sound = await openSoundSink();
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath,
    headless: true,
    extraPrefsFirefox: PREFERENCES,
    protocolTimeout: 120_000,
    env: { ...process.env, ...sound?.env },
  });
  browser.once("disconnected", () => sound?.close());
  return browser;
}

/** The camera and the voice that a page in Firefox gets. */
export function devicesOf(
  media: FakeMedia,
  flash: FakeDeviceOptions["flash"] = null,
): FakeDeviceOptions {
  const { width, height, fps } = media;
  return { width, height, fps, frames: picturesOf(media, LOOP_SECONDS), flash };
}

/** Somebody at a Firefox: the page's own controls, found by the words on them. */
const ALLOW_DEVICES = "Turn on camera and microphone";

export class FirefoxVisitor implements Person {
  readonly page: Screen;
  readonly errors: string[] = [];
  joinedAtMs = 0;

  private constructor(page: Page) {
    // The types of puppeteer's evaluate are wider; what is handed over here is plain data.
    this.page = page as unknown as Screen;
    page.on("pageerror", (error) => this.errors.push(String(error)));
  }

  /** Opens the room's link and joins. */
  static async join(
    browser: Browser,
    origin: string,
    options: PersonOptions,
    devices: FakeDeviceOptions | null,
  ): Promise<FirefoxVisitor> {
    const page = await (await browser.createBrowserContext()).newPage();
    await page.setViewport(options.viewport ?? { width: 1280, height: 800 });
    if (devices !== null) await page.evaluateOnNewDocument(installFakeDevices, devices);
    const visitor = new FirefoxVisitor(page);
    await page.goto(`${origin}/r/${options.roomId}`);
    await untilSeen("the lobby", () => visitor.#has("button", "Join the room"));
    if (options.devices === false) {
      await visitor.#click("button", "Turn the camera off");
      await visitor.#click("button", "Mute the microphone");
    } else {
      // The page asks for devices that were not allowed before only when somebody wants them.
      if (await visitor.#has("button", ALLOW_DEVICES))
        await visitor.#click("button", ALLOW_DEVICES);
      await untilSeen("the own camera", () =>
        visitor.page.evaluate(() => {
          const preview = document.querySelector<HTMLVideoElement>("video[data-preview]");
          return preview !== null && preview.videoWidth > 0;
        }),
      );
    }
    await visitor.#type("Your name", options.name);
    if (options.hideOriginal) await visitor.#click("label", "Hide my room");
    visitor.joinedAtMs = Date.now();
    await visitor.#click("button", "Join the room");
    await untilSeen("the room", () =>
      visitor.page.evaluate(() => document.querySelector(".room") !== null),
    );
    return visitor;
  }

  chooseStyle(name: string): Promise<void> {
    return this.#click("button", name);
  }

  chooseSteps(steps: number): Promise<void> {
    return this.page.evaluate(chooseStepsInPage, steps);
  }

  async showOriginal(): Promise<void> {
    await this.page.evaluate(() => {
      document.querySelector<HTMLElement>('[role=switch][aria-checked="true"]')?.click();
    });
  }

  waitForGenerated(timeoutMs = 30_000): Promise<void> {
    return untilSeen(
      "a generated picture",
      () =>
        this.page.evaluate(
          () => document.querySelector('video[data-track="generated"][data-shown="true"]') !== null,
        ),
      timeoutMs,
    );
  }

  #has(tag: string, words: string): Promise<boolean> {
    return this.page.evaluate(
      ({ tag, words }) =>
        [...document.querySelectorAll<HTMLElement>(tag)].some((each) =>
          (each.ariaLabel ?? each.textContent ?? "").trim().startsWith(words),
        ),
      { tag, words },
    );
  }

  async #click(tag: string, words: string): Promise<void> {
    await untilSeen(`a ${tag} that says "${words}"`, () =>
      this.page.evaluate(
        ({ tag, words }) => {
          const all = [...document.querySelectorAll<HTMLElement>(tag)];
          const says = (each: HTMLElement) => (each.ariaLabel ?? each.textContent ?? "").trim();
          const found =
            all.find((each) => says(each) === words) ??
            all.find((each) => says(each).startsWith(words));
          found?.click();
          return found !== undefined;
        },
        { tag, words },
      ),
    );
  }

  async #type(label: string, text: string): Promise<void> {
    await this.page.evaluate(
      ({ label, text }) => {
        const labels = [...document.querySelectorAll("label")];
        const found = labels.find((each) => each.textContent?.trim().startsWith(label));
        const field =
          found?.querySelector("input") ?? document.getElementById(found?.htmlFor ?? "");
        if (!(field instanceof HTMLInputElement)) throw new Error(`expected a field "${label}"`);
        field.value = text;
        field.dispatchEvent(new Event("input", { bubbles: true }));
        field.dispatchEvent(new Event("change", { bubbles: true }));
      },
      { label, text },
    );
  }
}

/** In the page: the select is inside of a folded part, which need not be open. */
export function chooseStepsInPage(steps: number): void {
  const select = document.querySelector<HTMLSelectElement>("#steps");
  if (select === null) throw new Error("expected a field for the denoising steps");
  select.value = String(steps);
  select.dispatchEvent(new Event("change", { bubbles: true }));
}
