/** The command line of `npm run e2e`. */
import { parseArgs } from "node:util";
import type { BrowserName } from "./screen.ts";

export interface E2eOptions {
  json: boolean;
  /** How long the generated picture is watched. */
  seconds: number;
  browser: BrowserName;
  /** Size of the publisher's camera. */
  camera: { width: number; height: number };
  clip: string | undefined;
  /** Measures lip sync with flashes and beeps instead of the rest. */
  lips: boolean;
}

export const USAGE =
  "usage: npm run e2e -- [--json] [--seconds 15] [--browser chromium|firefox] [--camera 640x360] [--clip FILE] [--lips]";

/** Throws an Error that names the option, what was expected and what came. */
export function readOptions(argv: string[]): E2eOptions {
  const { values } = parseArgs({
    args: argv,
    options: {
      json: { type: "boolean", default: false },
      seconds: { type: "string", default: "15" },
      browser: { type: "string", default: "chromium" },
      camera: { type: "string", default: "640x360" },
      clip: { type: "string" },
      lips: { type: "boolean", default: false },
    },
  });
  const seconds = Number(values.seconds);
  if (!(seconds >= 1 && seconds <= 3600)) {
    throw new Error(`expected --seconds between 1 and 3600, got "${values.seconds}"\n${USAGE}`);
  }
  const { browser } = values;
  if (browser !== "chromium" && browser !== "firefox") {
    throw new Error(`expected --browser chromium or firefox, got "${browser}"\n${USAGE}`);
  }
  return {
    json: values.json,
    seconds,
    browser,
    camera: readSize(values.camera),
    clip: values.clip,
    lips: values.lips,
  };
}

/** Codecs and their chroma planes want even numbers. */
function readSize(text: string): { width: number; height: number } {
  const [, width, height] = /^(\d+)x(\d+)$/.exec(text)?.map(Number) ?? [];
  const good = (n: number | undefined): n is number =>
    n !== undefined && n >= 64 && n <= 4096 && n % 2 === 0;
  if (!good(width) || !good(height)) {
    throw new Error(
      `expected --camera WIDTHxHEIGHT, even numbers from 64 to 4096, got "${text}"\n${USAGE}`,
    );
  }
  return { width, height };
}
