import { expect } from "chai";
import { CASES, formatTable, runCase } from "./runner.ts";
import type { CaseResult } from "./support/types.ts";

/** The short form of `npm run chaos`: each fault once or twice. */
describe("chaos", () => {
  for (const each of CASES) {
    it(`${each.name}: ${each.about}`, async function () {
      // Beyond the case's own limit, in which it would say why.
      this.timeout(each.limitMs(true) + 30_000);
      const lines: string[] = [];
      const say = (line: string) => void lines.push(line);
      const result: CaseResult = await runCase(each, { short: true, say });
      expect(result.ok, `\n${formatTable([result])}\n${lines.join("\n")}\n`).to.equal(true);
    });
  }
});
