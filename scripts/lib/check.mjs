import { join } from "node:path";
import { runForeground } from "./command.mjs";
import { root } from "./paths.mjs";
import { listFiles } from "./stamps.mjs";
import { runMocha } from "./test-run.mjs";

/**
 * Runs every check, also after one has failed, and ends with a line for each.
 * @param {import("./tasks.mjs").TaskContext} context `--fix` in args lets formatters correct files
 * @returns {Promise<number>}
 */
export async function runCheck(context) {
  const fix = context.args.includes("--fix");
  const args = context.args.filter((argument) => argument !== "--fix");
  const sources = listFiles([join(root, "native")]).filter((file) => /\.(cc|h|cu|cuh)$/.test(file));
  const tool = (/** @type {string} */ command, /** @type {string[]} */ options) => () =>
    runForeground(command, options, { cwd: root, env: context.env });

  /** @type {Array<[string, () => Promise<number>]>} */
  const checks = [
    [
      "format and lint (biome)",
      tool("biome", ["check", "--error-on-warnings", ...(fix ? ["--write"] : [])]),
    ],
    ["types (tsc)", tool("tsc", ["--project", "."])],
    [
      "native format (clang-format)",
      tool("clang-format", [...(fix ? ["-i"] : ["--dry-run", "-Werror"]), ...sources]),
    ],
    ["unit tests (mocha)", () => runMocha(["unit"], { ...context, args })],
  ];
  const lines = [];
  let exitCode = 0;
  for (const [name, run] of checks) {
    console.log(`\n== ${name}`);
    const code = await run();
    exitCode ||= code;
    lines.push(`  ${code === 0 ? "✓" : "✗"} ${name}`);
  }
  console.log(`\n${lines.join("\n")}\n`);
  return exitCode;
}
