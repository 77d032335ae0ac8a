import { readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { TASKS } from "../../../scripts/lib/tasks.mjs";

describe("tasks", () => {
  it("are all npm scripts", () => {
    const file = path.resolve(import.meta.dirname, "../../../package.json");
    const { scripts } = JSON.parse(readFileSync(file, "utf8"));
    for (const name of Object.keys(TASKS)) {
      expect(scripts[name], name).to.equal(`exec node scripts/run.mjs ${name}`);
    }
  });
});
