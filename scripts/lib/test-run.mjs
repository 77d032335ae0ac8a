import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { runForeground } from "./command.mjs";
import { nativeBuildDir, root } from "./paths.mjs";
import { runSanitizers, takeSanitizers } from "./sanitize.mjs";

/** Machine-readable results of the last native run, one file for each test program. */
const nativeResultsDir = join(root, "build", "test-results", "native");

/**
 * Runs the native tests, then mocha's, whatever the first say; mocha's counts close the output.
 * @param {import("./tasks.mjs").TaskContext} context
 * @returns {Promise<number>} 0 only if both passed
 */
export async function runAllTests(context) {
  const native = await runNativeTests({ ...context, args: [] });
  console.log(`\n  native: ${describeCounts(readNativeCounts())}\n`);
  const mocha = await runMocha(["unit", "media", "e2e", "chaos"], context);
  return native || mocha;
}

/**
 * Runs the native tests, or with `--sanitize LIST` those of one build for each sanitizer.
 * @param {import("./tasks.mjs").TaskContext} context
 * @returns {Promise<number>} the first exit code that is not 0
 */
export async function runNativeTests({ env, args }) {
  const { sanitizers, rest } = takeSanitizers(args);
  if (sanitizers.length > 0) return runSanitizers(sanitizers, { env, args: rest });
  rmSync(nativeResultsDir, { recursive: true, force: true });
  mkdirSync(nativeResultsDir, { recursive: true });
  const options = ["--test-dir", nativeBuildDir, "--output-on-failure", "--no-tests=error"];
  const testEnv = { ...env, GTEST_OUTPUT: `json:${nativeResultsDir}/` };
  return runForeground("ctest", [...options, ...args], { cwd: root, env: testEnv });
}

/**
 * @param {string[]} folders below test/
 * @param {import("./tasks.mjs").TaskContext} context
 * @returns {Promise<number>}
 */
export function runMocha(folders, { node, env, args }) {
  const mocha = join(root, "node_modules", "mocha", "bin", "mocha.js");
  const specs = folders.map((folder) => `test/${folder}/**/*.test.ts`);
  return runForeground(node, [mocha, ...args, ...specs], { cwd: root, env });
}

/** @returns {{ passed: number, failed: number }} counts of the last native run */
export function readNativeCounts() {
  const reports = readdirSync(nativeResultsDir)
    .filter((name) => name.endsWith(".json"))
    .map((name) => JSON.parse(readFileSync(join(nativeResultsDir, name), "utf8")));
  return sumReports(reports);
}

/**
 * @param {Array<{ tests: number, failures: number, errors?: number }>} reports GoogleTest's JSON
 * @returns {{ passed: number, failed: number }}
 */
export function sumReports(reports) {
  const counts = { passed: 0, failed: 0 };
  for (const { tests, failures, errors = 0 } of reports) {
    counts.failed += failures + errors;
    counts.passed += tests - failures - errors;
  }
  return counts;
}

/** @param {{ passed: number, failed: number }} counts */
function describeCounts({ passed, failed }) {
  return `${passed} passing, ${failed} failing`;
}
