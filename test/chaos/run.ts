/**
 * `npm run chaos -- [--json] [--short] [--case NAME]...`: breaks a running call in many ways and
 * reports what viewers saw of it and what stayed behind. With --json the last line is
 * {cases: [{name, tried, longestGapMs, rawFrames, renegotiations, leaked, ok, notes}], failed}.
 */
import { parseArgs } from "node:util";
import { CASES, formatTable, runCase } from "./runner.ts";
import type { CaseResult } from "./support/types.ts";

function readArguments() {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      short: { type: "boolean", default: false },
      case: { type: "string", multiple: true },
    },
  });
  for (const name of values.case ?? []) {
    if (CASES.some((each) => each.name === name)) continue;
    const names = CASES.map((each) => each.name).join(", ");
    throw new Error(`--case: expected one of ${names}, got "${name}"`);
  }
  return values;
}

try {
  const options = readArguments();
  const results: CaseResult[] = [];
  for (const each of CASES) {
    if (options.case !== undefined && !options.case.includes(each.name)) continue;
    console.log(`${each.name}: ${each.about}`);
    const say = (line: string) => console.log(`  ${line}`);
    results.push(await runCase(each, { short: options.short, say }));
  }
  const failed = results.filter(({ ok }) => !ok).length;
  console.log(`\n${formatTable(results)}\n`);
  if (options.json) console.log(JSON.stringify({ cases: results, failed }));
  // What a case that hung left open must not keep this program alive; its server ends with it.
  process.exit(failed === 0 ? 0 : 1);
} catch (error) {
  console.error(`chaos: ${error instanceof Error ? error.message : error}`);
  process.exit(2);
}
