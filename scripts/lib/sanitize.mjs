import { join } from "node:path";
import { runForeground } from "./command.mjs";
import { buildNativeVariant } from "./native.mjs";
import { root } from "./paths.mjs";
import { SetupError } from "./steps.mjs";

/**
 * What each sanitizer's programs run with.
 * @type {Record<string, NodeJS.ProcessEnv>}
 */
const SANITIZERS = {
  address: { ASAN_OPTIONS: "detect_stack_use_after_return=1:strict_string_checks=1" },
  undefined: { UBSAN_OPTIONS: "print_stacktrace=1" },
  thread: {
    TSAN_OPTIONS: "second_deadlock_stack=1",
    // The kernels' checks without a GPU switch stacks by hand, which this sanitizer cannot follow.
    GTEST_FILTER: "-Cuda*:*/cuda*",
  },
};

/**
 * Splits `--sanitize LIST` off a command line.
 * @param {string[]} args
 * @returns {{ sanitizers: string[], rest: string[] }} the sanitizers in order, none without the option
 */
export function takeSanitizers(args) {
  const at = args.indexOf("--sanitize");
  if (at < 0) return { sanitizers: [], rest: args };
  const known = Object.keys(SANITIZERS);
  const list = args[at + 1] ?? "";
  const sanitizers = list === "all" ? known : list.split(",");
  const unknown = sanitizers.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new SetupError(
      `--sanitize: expected "all" or some of ${known.join(",")}, got "${unknown}".`,
      "npm run test:native -- --sanitize all",
    );
  }
  return { sanitizers, rest: [...args.slice(0, at), ...args.slice(at + 2)] };
}

/**
 * Builds the native programs and tests once for each sanitizer, in folders of their own, and runs
 * the tests there. The addon is left out: it would need the sanitizer inside of Node.
 * @param {string[]} sanitizers
 * @param {{ env: NodeJS.ProcessEnv, args: string[] }} context args for ctest
 * @returns {Promise<number>} the first exit code that is not 0
 */
export async function runSanitizers(sanitizers, { env, args }) {
  let code = 0;
  for (const name of sanitizers) {
    const folder = join(root, "build", "sanitize", name);
    console.error(`  … ${name} sanitizer: compiling what has changed`);
    await buildNativeVariant(folder, [`-DDRIFTLESS_SANITIZE=${name}`], env);
    console.error(`  … ${name} sanitizer: running the native tests`);
    const options = ["--test-dir", folder, "--output-on-failure", "--no-tests=error", ...args];
    const testEnv = { ...env, ...SANITIZERS[name] };
    code ||= await runForeground("ctest", options, { cwd: root, env: testEnv });
  }
  return code;
}
