/** What the measurements need of a page, whatever drives the browser. */
export interface Screen {
  evaluate<R>(work: () => R | Promise<R>): Promise<R>;
  evaluate<R, A>(work: (argument: A) => R | Promise<R>, argument: A): Promise<R>;
  screenshot(options: { path: string }): Promise<unknown>;
}

/** Somebody at a browser who can be asked to use the page's controls. */
export interface Person {
  readonly page: Screen;
  /** Unix ms of the click on "Join". */
  readonly joinedAtMs: number;
  /** Chooses a style by the words on its button, which also turns the transform on. */
  chooseStyle(name: string): Promise<void>;
  /** Number of denoising steps, 1 to 4: more of them take the engine longer. */
  chooseSteps(steps: number): Promise<void>;
  /** Turns the transform off. */
  showOriginal(): Promise<void>;
  /** Waits until a tile (of anybody) shows the generated track. */
  waitForGenerated(timeoutMs?: number): Promise<void>;
}

/** A browser of its own for each person: a page in the background would be slowed down. */
export interface TestBrowser {
  readonly name: BrowserName;
  join(origin: string, options: PersonOptions): Promise<Person>;
  close(): Promise<void>;
}

export type BrowserName = "chromium" | "firefox";

export interface PersonOptions {
  name: string;
  roomId: string;
  hideOriginal?: boolean;
  /** False: joins with the camera and the microphone off. */
  devices?: boolean;
  viewport?: { width: number; height: number };
}

/** Waits until `look` says yes, asking the page a few times a second. Throws after `limitMs`. */
export async function untilSeen(
  what: string,
  look: () => Promise<boolean>,
  limitMs = 30_000,
): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await look())) {
    if (performance.now() > endMs) throw new Error(`expected ${what} within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
