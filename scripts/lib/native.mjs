import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { runLogged } from "./command.mjs";
import { cudaBuild } from "./cuda-toolkit.mjs";
import { nativeBuildDir, root, setupDir } from "./paths.mjs";
import { fingerprint } from "./stamps.mjs";
import { isPackageInstalled } from "./system-packages.mjs";

const nativeDir = join(root, "native");

/** A build that finds nothing to do is over before this. */
const NOTICE_AFTER_MS = 2_000;

/** @typedef {"addon" | "programs" | "all"} NativeScope what to build: the Node addon, the command-line programs, or both and the tests */

/**
 * Configures (with cmake-js, which knows Node's headers) and builds native/. Ninja decides what has
 * changed, so this costs a fraction of a second when nothing has.
 * @param {NativeScope} scope
 * @param {{ env: NodeJS.ProcessEnv, stamps: import("./stamps.mjs").Stamps, working: (what: string) => void }} context
 * @returns {Promise<string>}
 */
export async function buildNative(scope, { env, stamps, working }) {
  const logFile = join(setupDir, "native.log");
  const tests = existsSync("/usr/include/gtest/gtest.h") || isPackageInstalled("libgtest-dev");
  const options = [`--CDDRIFTLESS_BUILD_TESTS=${tests ? "ON" : "OFF"}`];
  // An image that is built here and run elsewhere names the processor that it is for.
  const arch = process.env.DRIFTLESS_ARCH;
  if (arch) options.push(`--CDDRIFTLESS_ARCH=${arch}`);
  const cuda = cudaBuild();
  options.push(...cuda.options.map((option) => `--CD${option}`));
  const state = fingerprint([join(root, "package-lock.json")], [nativeDir, ...options]);
  const configured = existsSync(join(nativeBuildDir, "build.ninja"));
  if (!configured || !stamps.matches("native", state)) {
    working("configuring");
    const where = ["-d", nativeDir, "-O", nativeBuildDir, "-G", "Ninja"];
    const configure = ["configure", ...where, ...options];
    await runLogged("cmake-js", configure, { logFile, cwd: root, env });
    stamps.set("native", state);
  }
  const targets = targetsOf(scope).flatMap((target) => ["--target", target]);
  const build = ["--build", nativeBuildDir, "--parallel", buildJobs(), ...targets];
  const notice = setTimeout(() => working("compiling what has changed"), NOTICE_AFTER_MS);
  try {
    await runLogged("cmake", build, { logFile, cwd: root, env, append: true });
  } finally {
    clearTimeout(notice);
  }
  const built = scope === "all" ? "addon, programs and tests built" : `${scope} built`;
  return `${built}, ${cuda.detail}`;
}

/**
 * Configures and builds native/ without the addon in another folder, with options of its own: for
 * sanitizers and fuzzers.
 * @param {string} folder
 * @param {string[]} options for CMake
 * @param {NodeJS.ProcessEnv} env
 * @param {string[]} [names] build targets; none stands for all
 * @returns {Promise<void>}
 */
export async function buildNativeVariant(folder, options, env, names = []) {
  const context = { logFile: join(setupDir, `${basename(folder)}.log`), cwd: root, env };
  const where = ["-G", "Ninja", "-S", nativeDir, "-B", folder, "-DDRIFTLESS_BUILD_ADDON=OFF"];
  await runLogged("cmake", [...where, ...options], context);
  const targets = names.flatMap((name) => ["--target", name]);
  const build = ["--build", folder, "--parallel", buildJobs(), ...targets];
  await runLogged("cmake", build, { ...context, append: true });
}

/** @returns {string} how many compilers may run at once */
function buildJobs() {
  return process.env.DRIFTLESS_BUILD_JOBS ?? String(availableParallelism());
}

/**
 * @param {NativeScope} scope
 * @returns {string[]} build targets; none stands for all
 */
function targetsOf(scope) {
  if (scope === "addon") return ["driftless"];
  if (scope === "all") return [];
  return readdirSync(join(nativeDir, "tools"))
    .filter((name) => existsSync(join(nativeDir, "tools", name, "main.cc")))
    .map((name) => `driftless-${name}`);
}
