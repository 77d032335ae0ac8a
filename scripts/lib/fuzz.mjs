import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runLogged } from "./command.mjs";
import { buildNativeVariant } from "./native.mjs";
import { findProgram } from "./node-runtime.mjs";
import { root } from "./paths.mjs";
import { SetupError } from "./steps.mjs";

const fuzzDir = join(root, "native", "fuzz");
const buildDir = join(root, "build", "fuzz");

/**
 * Folders of inputs to begin with, besides native/fuzz/seeds/TARGET: what the project has anyway.
 * @type {Record<string, string[]>}
 */
const SEEDS = {
  "tensor-file": [join(root, "test", "golden", "torch")],
};

/** Fixed, so that a run in CI finds what it found before. */
const RANDOM_SEED = "20260101";

/** @returns {string[]} names of the fuzzers: native/fuzz/fuzz_<name>.cc, with dashes */
export function fuzzTargets() {
  return readdirSync(fuzzDir)
    .map((file) => /^fuzz_(.+)\.cc$/.exec(file)?.[1]?.replaceAll("_", "-"))
    .filter((name) => name !== undefined)
    .sort();
}

/**
 * @param {string[]} args `[--seconds N] [TARGET...]`
 * @param {string[]} known
 * @returns {{ seconds: number, targets: string[] }}
 */
export function parseFuzzArguments(args, known) {
  const targets = [...args];
  let seconds = 60;
  const at = targets.indexOf("--seconds");
  if (at >= 0) {
    seconds = Number(targets.splice(at, 2)[1]);
    if (!Number.isInteger(seconds) || seconds < 1) {
      throw new SetupError("--seconds: expected a whole number from 1.", "npm run fuzz -- --help");
    }
  }
  const unknown = targets.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new SetupError(
      `fuzz: expected targets of ${known.join(", ")}, got "${unknown}".`,
      `npm run fuzz -- --seconds ${seconds} ${known[0]}`,
    );
  }
  return { seconds, targets: targets.length > 0 ? targets : known };
}

/**
 * Builds the fuzzers with Clang, the address and the undefined-behaviour sanitizer and runs each
 * for so many seconds, two at a time. What they find out about inputs is kept in
 * build/fuzz/corpus, an input that breaks something in build/fuzz/crash-TARGET-….
 * @param {import("./tasks.mjs").TaskContext} context
 * @returns {Promise<number>} 0 only if nothing was found
 */
export async function runFuzz({ env, args }) {
  const { seconds, targets } = parseFuzzArguments(args, fuzzTargets());
  const compiler = findProgram(["clang++-14", "clang++"]);
  if (!compiler) {
    throw new SetupError("The fuzzers need Clang, and there is none.", "apt-get install clang");
  }
  console.error("  … fuzzers: compiling what has changed");
  const options = [
    `-DCMAKE_CXX_COMPILER=${compiler}`,
    "-DDRIFTLESS_SANITIZE=fuzzer-no-link,address,undefined",
    "-DDRIFTLESS_BUILD_FUZZERS=ON",
    "-DDRIFTLESS_BUILD_TESTS=OFF",
  ];
  await buildNativeVariant(
    buildDir,
    options,
    env,
    targets.map((name) => `fuzz-${name}`),
  );
  let failed = 0;
  const queue = [...targets];
  const worker = async () => {
    for (let target = queue.shift(); target; target = queue.shift()) {
      if (!(await runTarget(target, seconds, env))) failed += 1;
    }
  };
  await Promise.all([worker(), worker()]);
  console.log(`\n  fuzz: ${targets.length - failed} passing, ${failed} failing\n`);
  return failed === 0 ? 0 : 1;
}

/**
 * Runs one fuzzer with its output in build/fuzz/TARGET.log, the end of which a failure shows.
 * @param {string} target
 * @param {number} seconds
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<boolean>} whether it found nothing
 */
async function runTarget(target, seconds, env) {
  const corpus = join(buildDir, "corpus", target);
  mkdirSync(corpus, { recursive: true });
  const seeds = [join(fuzzDir, "seeds", target), ...(SEEDS[target] ?? [])];
  const options = [
    `-max_total_time=${seconds}`,
    `-seed=${RANDOM_SEED}`,
    `-artifact_prefix=${join(buildDir, `crash-${target}-`)}`,
    "-timeout=20",
    "-rss_limit_mb=2048",
    "-max_len=8192",
    "-print_final_stats=1",
  ];
  const logFile = join(buildDir, `${target}.log`);
  try {
    await runLogged(
      join(buildDir, "Release", `fuzz-${target}`),
      [...options, corpus, ...seeds.filter((folder) => existsSync(folder))],
      { logFile, cwd: root, env: { ...env, UBSAN_OPTIONS: "print_stacktrace=1" } },
    );
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.log(`  ✗ ${target}: ${error.message}`);
    return false;
  }
  const inputs = /number_of_executed_units: *(\d+)/.exec(readFileSync(logFile, "utf8"))?.[1];
  console.log(`  ✓ ${target}: ${inputs} inputs`);
  return true;
}
