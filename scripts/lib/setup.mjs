import { delimiter, join } from "node:path";
import { buildClient } from "./client.mjs";
import { clipsDir, ensureClips } from "./clips.mjs";
import { wheelFolders } from "./cuda-toolkit.mjs";
import { withLock } from "./lock.mjs";
import { buildNative } from "./native.mjs";
import { ensureNode, findProgram } from "./node-runtime.mjs";
import { ensureNpmPackages } from "./npm-packages.mjs";
import { setupDir } from "./paths.mjs";
import { Stamps } from "./stamps.mjs";
import { SetupError, Steps } from "./steps.mjs";
import { CHROMIUM_NAMES, ensureSystemPackages, FIREFOX_NAMES } from "./system-packages.mjs";
import { buildWorker, findWorker } from "./worker.mjs";

/**
 * What a kind of command needs. `packages` are groups of system-packages.json.
 * @typedef {object} Profile
 * @property {string[]} packages
 * @property {boolean} npm
 * @property {boolean} worker
 * @property {import("./native.mjs").NativeScope | null} native
 * @property {boolean} client
 * @property {boolean} clips
 */

/** @type {Record<string, Profile>} */
export const PROFILES = {
  start: {
    packages: ["build", "native"],
    npm: true,
    worker: true,
    native: "addon",
    client: true,
    clips: false,
  },
  test: {
    packages: ["build", "native", "nativeTest", "browser", "firefox", "media", "chaos"],
    npm: true,
    worker: true,
    native: "all",
    client: true,
    clips: true,
  },
  chaos: {
    packages: ["build", "native", "media", "chaos"],
    npm: true,
    worker: true,
    native: "addon",
    client: false,
    clips: true,
  },
  loadtest: {
    packages: ["build", "native", "media"],
    npm: true,
    worker: true,
    native: "addon",
    client: false,
    clips: true,
  },
  check: {
    packages: ["build", "native", "format"],
    npm: true,
    worker: true,
    native: "addon",
    client: false,
    clips: false,
  },
  tools: {
    packages: ["build", "native"],
    npm: true,
    worker: false,
    native: "programs",
    client: false,
    clips: false,
  },
  bench: {
    packages: ["build", "native", "media"],
    npm: true,
    worker: false,
    native: "programs",
    client: false,
    clips: true,
  },
  cuda: {
    packages: ["build", "native", "nativeTest"],
    npm: true,
    worker: false,
    native: "all",
    client: false,
    clips: false,
  },
  fuzz: {
    packages: ["build", "native", "nativeTest", "fuzz"],
    npm: false,
    worker: false,
    native: null,
    client: false,
    clips: false,
  },
  // The second stage of the Dockerfile, which gets everything else from the first.
  runtime: {
    packages: ["runtime"],
    npm: false,
    worker: false,
    native: null,
    client: false,
    clips: false,
  },
};

/**
 * Finds or brings everything that a profile needs, telling each step on stderr.
 * @param {string} profileName
 * @returns {Promise<{ node: string, env: NodeJS.ProcessEnv }>} how to run the project's programs
 */
export async function setUp(profileName) {
  const profile = PROFILES[profileName];
  if (!profile) {
    throw new Error(
      `expected a profile of ${Object.keys(PROFILES).join(", ")}, got "${profileName}"`,
    );
  }
  const write = (/** @type {string} */ line) => void process.stderr.write(`${line}\n`);
  const now = () => performance.now();
  const start = now();
  const onWait = (/** @type {number} */ pid) =>
    write(`  … another set-up runs (pid ${pid}), waiting`);
  const result = await withLock(join(setupDir, "lock"), onWait, () =>
    runSteps(profile, new Steps({ write, now })),
  );
  write(`  set up in ${((now() - start) / 1000).toFixed(1)} s\n`);
  return result;
}

/**
 * Runs what may end in a SetupError for a command line, which is told in words, with its cure.
 * @template T
 * @param {() => Promise<T>} body
 * @returns {Promise<T | null>} null after a failure
 */
export async function orExplain(body) {
  try {
    return await body();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write(`\n${error.message}\n\nWhat helps:\n\n    ${error.fix}\n\n`);
    return null;
  }
}

/**
 * @param {Profile} profile
 * @param {Steps} steps
 */
async function runSteps(profile, steps) {
  const stamps = new Stamps(join(setupDir, "stamps.json"));
  const { node, env } = await steps.step("Node", async (working) => {
    const runtime = await ensureNode(working);
    return { value: runtime, detail: runtime.version };
  });
  if (profile.npm) {
    await steps.step("npm packages", async (working) => {
      return { value: null, detail: await ensureNpmPackages({ env, stamps, working }) };
    });
  }
  let worker = null;
  if (profile.worker) {
    worker = await steps.step("mediasoup worker", async (working) => {
      const value = await findWorker(working);
      return { value, detail: value ?? "no prebuilt one can be had, will be built" };
    });
  }
  // All packages in one go: one wait, or one line for the user to type.
  const groups = [...profile.packages];
  if (profile.worker && worker === null) groups.push("build", "worker");
  await steps.step("system packages", async (working) => {
    return { value: null, detail: await ensureSystemPackages(groups, working) };
  });
  if (profile.worker && worker === null) {
    worker = await steps.step("mediasoup worker", async (working) => {
      const value = await buildWorker(env, working);
      return { value, detail: value };
    });
  }
  const { native } = profile;
  if (native) {
    await steps.step("native engine", async (working) => {
      return { value: null, detail: await buildNative(native, { env, stamps, working }) };
    });
  }
  if (profile.client) {
    await steps.step("web client", async (working) => {
      return { value: null, detail: await buildClient({ env, stamps, working }) };
    });
  }
  if (profile.clips) {
    await steps.step("test clips", async (working) => {
      return { value: null, detail: await ensureClips({ env, working }) };
    });
  }
  return { node, env: { ...env, ...variables(worker) } };
}

/**
 * Tells the programs where things are; what the user has set stays.
 * @param {string | null} worker
 */
function variables(worker) {
  /** @type {NodeJS.ProcessEnv} */
  const env = {};
  if (worker) env.MEDIASOUP_WORKER_BIN = worker;
  env.DRIFTLESS_CLIPS = process.env.DRIFTLESS_CLIPS ?? clipsDir;
  const chromium = process.env.DRIFTLESS_CHROMIUM ?? findProgram(CHROMIUM_NAMES);
  if (chromium) env.DRIFTLESS_CHROMIUM = chromium;
  const firefox = process.env.DRIFTLESS_FIREFOX ?? findProgram(FIREFOX_NAMES);
  if (firefox) env.DRIFTLESS_FIREFOX = firefox;
  const libraries = wheelFolders();
  if (libraries.length > 0) {
    const own = process.env.LD_LIBRARY_PATH;
    env.LD_LIBRARY_PATH = [...(own ? [own] : []), ...libraries].join(delimiter);
  }
  return env;
}
