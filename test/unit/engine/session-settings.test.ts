import { expect } from "chai";
import type { EngineTransform } from "../../../server/engine/protocol.ts";
import { SessionSettings } from "../../../server/engine/session-settings.ts";

const of = (mode: EngineTransform["mode"], prompt: string): EngineTransform => ({
  ...{ mode, prompt, strength: 1, steps: 1, seed: 0 },
});
const shown = (prompt: string) => of("restyle", prompt);
const hidden = (prompt: string) => of("background", prompt);

function setUp(first: EngineTransform) {
  const settings = new SessionSettings({ transform: first, revision: 1 });
  settings.opened();
  const ask = (transform: EngineTransform, revision: number) =>
    settings.ask({ transform, revision });
  return { ask, settings, forOpening: () => settings.forOpening.transform.prompt };
}

describe("SessionSettings", () => {
  it("opens a next process with what was accepted last, and asks for the newest wish after it", () => {
    const { ask, forOpening, settings } = setUp(shown("oil"));
    ask(shown("ink"), 2);
    settings.accept(2);
    ask(shown("chalk"), 3);
    ask(shown("water"), 4);
    expect(forOpening()).to.equal("ink");
    expect(settings.opened()?.revision).to.equal(4);
    settings.accept(4);
    expect(forOpening()).to.equal("water");
    expect(settings.opened()).to.equal(null);
  });

  it("goes on with what was accepted last after a refusal", () => {
    const { ask, forOpening, settings } = setUp(shown("oil"));
    ask(shown("refused"), 2);
    expect(settings.refuse(2)).to.equal(false);
    expect(forOpening()).to.equal("oil");
    expect(settings.opened()).to.equal(null);
  });

  it("keeps a hidden room hidden when showing it is refused, and until it is accepted", () => {
    const { ask, forOpening, settings } = setUp(hidden("beach"));
    ask(shown("oil"), 2);
    expect(forOpening()).to.equal("beach");
    expect(settings.refuse(2)).to.equal(false);
    expect(forOpening()).to.equal("beach");
  });

  it("never opens with settings that show a room which is to be hidden by now", () => {
    const { ask, forOpening, settings } = setUp(shown("oil"));
    ask(hidden("beach"), 2);
    expect(forOpening()).to.equal("beach");
    expect(settings.untried).to.equal(true);
    expect(settings.opened()).to.equal(null);
    expect(settings.untried).to.equal(false);
  });

  it("says when a refusal leaves a room in sight that is to be hidden", () => {
    const { ask, settings } = setUp(shown("oil"));
    ask(hidden("beach"), 2);
    expect(settings.refuse(2)).to.equal(true);
  });

  it("leaves the answer to a newer wish, where there is one", () => {
    const { ask, settings } = setUp(shown("oil"));
    ask(hidden("refused"), 2);
    ask(hidden("beach"), 3);
    expect(settings.refuse(2)).to.equal(false);
    expect(settings.refuse(3)).to.equal(true);
  });
});
