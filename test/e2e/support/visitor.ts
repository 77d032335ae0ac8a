import type { Browser, Page } from "playwright-core";
import type { DebugSample, DebugState } from "../../../client/src/debug.ts";
import { type FakeDeviceOptions, installFakeDevices } from "./fake-devices.ts";
import { chooseStepsInPage } from "./firefox.ts";
import type { Person, PersonOptions } from "./screen.ts";

/** Somebody at a Chromium: everything goes through the page's own controls. */
export class Visitor implements Person {
  readonly page: Page;
  /** Errors that the page's own code threw. */
  readonly errors: string[] = [];
  /** Unix ms of the click on "Join". */
  joinedAtMs = 0;

  private constructor(page: Page) {
    this.page = page;
    page.on("pageerror", (error) => this.errors.push(String(error)));
  }

  /**
   * Opens the room's link and joins.
   * @param devices a camera and a microphone made in the page, in place of the browser's fake ones
   */
  static async join(
    browser: Browser,
    origin: string,
    options: PersonOptions,
    devices: FakeDeviceOptions | null = null,
  ): Promise<Visitor> {
    const viewport = options.viewport ?? { width: 1280, height: 800 };
    const context = await browser.newContext({ viewport });
    if (devices !== null) await context.addInitScript(installFakeDevices, devices);
    const visitor = new Visitor(await context.newPage());
    const { page } = visitor;
    await page.goto(`${origin}/r/${options.roomId}`);
    if (options.devices === false) {
      await page.getByRole("button", { name: "Turn the camera off" }).click();
      await page.getByRole("button", { name: "Mute the microphone" }).click();
    } else {
      await page.waitForFunction(() => {
        const preview = document.querySelector<HTMLVideoElement>("video[data-preview]");
        return preview !== null && preview.videoWidth > 0;
      });
    }
    await page.getByLabel("Your name").fill(options.name);
    if (options.hideOriginal) await page.getByLabel("Hide my room").check();
    visitor.joinedAtMs = Date.now();
    await page.getByRole("button", { name: "Join the room" }).click();
    await page.locator(".room").waitFor({ timeout: 15_000 });
    return visitor;
  }

  /** Reads the page's debug state (client/src/debug.ts). */
  debug(): Promise<Pick<DebugState, "state" | "participants" | "transports" | "consumers">> {
    return this.page.evaluate(() => {
      const debug = window.__driftless;
      if (debug === undefined) throw new Error("expected window.__driftless");
      const { state, participants, transports, consumers } = debug;
      return { state, participants, transports, consumers };
    });
  }

  async sample(slot: DebugSample["slot"]): Promise<DebugSample | undefined> {
    const samples = await this.page.evaluate(() => window.__driftless?.sample());
    return samples?.find((each) => each.slot === slot);
  }

  /** Chooses a style by the words on its button, which also turns the transform on. */
  async chooseStyle(name: string): Promise<void> {
    await this.page.getByRole("button", { name, exact: true }).click();
  }

  chooseSteps(steps: number): Promise<void> {
    return this.page.evaluate(chooseStepsInPage, steps);
  }

  async showOriginal(): Promise<void> {
    await this.page.getByRole("switch", { checked: true }).click();
  }

  /** Types a look of one's own and sends it. */
  async describeLook(prompt: string): Promise<void> {
    await this.page.getByLabel("Describe the picture").fill(prompt);
    await this.page.getByRole("button", { name: /^Apply/ }).click();
  }

  /** Waits until a tile (of anybody) shows the generated track. */
  async waitForGenerated(timeoutMs = 30_000): Promise<void> {
    await this.page
      .locator('video[data-track="generated"][data-shown="true"]')
      .first()
      .waitFor({ timeout: timeoutMs });
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}
