import { expect } from "chai";
import { transformSettingsSchema } from "../../../server/domain/settings.ts";

const problemOf = (input: unknown): string =>
  transformSettingsSchema.safeParse(input).error?.issues[0]?.message ?? "none";

describe("transform settings", () => {
  it("fills in defaults and trims the prompt", () => {
    expect(transformSettingsSchema.parse({ mode: "restyle", prompt: "  oil  " })).to.deep.equal({
      mode: "restyle",
      prompt: "oil",
      strength: 0.8,
      steps: 1,
      seed: 0,
    });
    expect(transformSettingsSchema.parse({ mode: "off" })).to.deep.equal({ mode: "off" });
  });

  it("takes a background by words, by name, or as a blur", () => {
    const defaults = { strength: 0.4, steps: 1, seed: 0 };
    const parsed = (input: object) =>
      transformSettingsSchema.parse({ mode: "background", ...input });
    const base = { mode: "background", ...defaults };
    expect(parsed({ prompt: "beach" })).to.deep.equal({ ...base, prompt: "beach", blur: false });
    expect(parsed({ scene: "space" })).to.deep.include({ scene: "space", prompt: "" });
    expect(parsed({ blur: true })).to.deep.equal({ ...base, prompt: "", blur: true });
    expect(problemOf({ mode: "background" })).to.include("a prompt, a scene or blur");
    expect(problemOf({ mode: "background", scene: "my flat" })).to.include("beach");
    expect(parsed({ color: "#204060" })).to.deep.include({ color: "#204060", prompt: "" });
    expect(problemOf({ mode: "background", color: "blue" })).to.include("#5b6b7b");
  });

  it("takes what is behind the person in a restyle, but not whether the room is hidden", () => {
    const restyle = { mode: "restyle", prompt: "oil" };
    const parsed = transformSettingsSchema.parse({ ...restyle, color: "#204060", blur: true });
    expect(parsed).to.deep.include({ color: "#204060", blur: true });
    expect(problemOf({ ...restyle, scene: "my flat" })).to.include("beach");
    expect(problemOf({ ...restyle, hideRoom: false })).to.include("hideRoom");
  });

  it("refuses what is out of range, with the reason", () => {
    const base = { mode: "restyle", prompt: "oil" };
    expect(problemOf({ ...base, prompt: "   " })).to.contain("1 to 500 characters");
    expect(problemOf({ ...base, prompt: "x".repeat(501) })).to.contain("at most 500");
    expect(problemOf({ ...base, prompt: "a\u0007b" })).to.contain("without control characters");
    expect(problemOf({ ...base, prompt: "a\nb" })).to.contain("without control characters");
    for (const wrong of [
      { strength: -0.1 },
      { strength: 2.1 },
      { strength: Number.NaN },
      { steps: 0 },
      { steps: 5 },
      { steps: 1.5 },
      { seed: -1 },
      { seed: 2 ** 32 },
      { colour: "red" },
      { mode: "collage" },
    ]) {
      expect(problemOf({ ...base, ...wrong }), JSON.stringify(wrong)).not.to.equal("none");
    }
  });

  it("takes a whole form with mode off, even with its prompt empty", () => {
    expect(problemOf({ mode: "off", prompt: "", strength: 0.5, steps: 1, seed: 0 })).to.equal(
      "none",
    );
  });
});
