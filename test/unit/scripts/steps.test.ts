import { expect } from "chai";
import { SetupError, Steps } from "../../../scripts/lib/steps.mjs";

describe("Steps", () => {
  const create = () => {
    const lines: string[] = [];
    let clock = 0;
    const now = () => {
      clock += 1500;
      return clock;
    };
    return { lines, steps: new Steps({ write: (line: string) => void lines.push(line), now }) };
  };

  it("tells what a step found, what it waits for and how long it took", async () => {
    const { lines, steps } = create();
    const value = await steps.step("web client", async (working) => {
      working("building");
      return { value: 7, detail: "built" };
    });
    expect(value).to.equal(7);
    expect(lines).to.deep.equal(["  … web client: building", "  ✓ web client: built (1.5 s)"]);
  });

  it("hands a failure on after naming the step", async () => {
    const { lines, steps } = create();
    const failure = new SetupError("g++ is missing.", "sudo apt-get install g++");
    let caught: unknown;
    try {
      await steps.step("native engine", () => Promise.reject(failure));
    } catch (error) {
      caught = error;
    }
    expect(caught).to.equal(failure);
    expect(lines).to.deep.equal(["  ✗ native engine: failed after 1.5 s"]);
  });
});
