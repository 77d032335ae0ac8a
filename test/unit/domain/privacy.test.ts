import { expect } from "chai";
import { Privacy, permits, tightens } from "../../../server/domain/privacy.ts";
import { background, restyle } from "./support/people.ts";

/** What happens to one participant; each wish and each switch has the next revision. */
type Step = "restyle" | "background" | "off" | "hide" | "show" | `shown ${number}`;

function privacyAfter(steps: readonly Step[], joinedHidden = false): Privacy {
  const privacy = new Privacy(joinedHidden);
  let revision = 0;
  for (const step of steps) {
    if (step === "restyle") privacy.onWish(restyle(), ++revision);
    else if (step === "background") privacy.onWish(background(), ++revision);
    else if (step === "off") privacy.onWish(undefined, ++revision);
    else if (step === "hide" || step === "show") privacy.onHideRoom(step === "hide", ++revision);
    else privacy.onShown(Number(step.slice("shown ".length)));
  }
  return privacy;
}

/** What may leave the server, in a word. */
function allowed(steps: readonly Step[], joinedHidden = false): string {
  const { original, generated } = privacyAfter(steps, joinedHidden).policy;
  return [original && "original", generated && "generated"].filter(Boolean).join("+") || "nothing";
}

describe("privacy policy", () => {
  const table: [string, Step[], string][] = [
    ["nobody hides anything", [], "original+generated"],
    ["a restyle shows the camera until it is there", ["restyle"], "original+generated"],
    ["a background hides the camera from the wish on", ["background"], "generated"],
    ["hiding from the switch on", ["hide"], "generated"],
    [
      "what is repainted already may show the room: nothing passes",
      ["restyle", "shown 1", "background"],
      "nothing",
    ],
    [
      "the answer to an older wish changes nothing",
      ["restyle", "background", "shown 1"],
      "nothing",
    ],
    ["the background is there", ["restyle", "shown 1", "background", "shown 2"], "generated"],
    ["a newer answer counts too", ["restyle", "hide", "restyle", "shown 3"], "generated"],
    ["switching to hidden while repainting", ["restyle", "shown 1", "hide"], "nothing"],
    ["the cut-out restyle is there", ["restyle", "shown 1", "hide", "shown 2"], "generated"],
    ["from one way of hiding to the other", ["background", "hide", "restyle"], "generated"],
    ["hidden, then off", ["hide", "restyle", "shown 2", "off"], "generated"],
    [
      "a background and off: the camera at once",
      ["background", "shown 1", "off"],
      "original+generated",
    ],
    [
      "from background to restyle: the camera stays hidden until the restyle is seen",
      ["background", "shown 1", "restyle"],
      "generated",
    ],
    [
      "from background to restyle, seen",
      ["background", "shown 1", "restyle", "shown 2"],
      "original+generated",
    ],
    ["shown again without a transform: at once", ["hide", "show"], "original+generated"],
    [
      "shown again while repainting: with the first frame of it",
      ["hide", "restyle", "shown 2", "show"],
      "generated",
    ],
    [
      "hide, show, hide: the answer to show is too old",
      ["restyle", "shown 1", "hide", "show", "hide", "shown 3"],
      "nothing",
    ],
    [
      "hide, show, hide: the answer to the last one",
      ["restyle", "shown 1", "hide", "show", "hide", "shown 4"],
      "generated",
    ],
    [
      "off ends the wait for a restyle",
      ["background", "shown 1", "restyle", "off"],
      "original+generated",
    ],
  ];
  for (const [name, steps, expected] of table) {
    it(name, () => expect(allowed(steps), steps.join(", ")).to.equal(expected));
  }

  it("begins hidden for who joins hidden", () => {
    expect(allowed([], true)).to.equal("generated");
    expect(allowed(["restyle"], true)).to.equal("generated");
    expect(allowed(["background", "off"], true)).to.equal("generated");
  });

  it("has a version that grows with changes and with nothing else", () => {
    const version = (steps: Step[]) => privacyAfter(steps).policy.version;
    expect(version([])).to.equal(1);
    expect(version(["restyle", "shown 1", "restyle", "off"])).to.equal(1);
    expect(version(["hide", "hide", "background"])).to.equal(2);
    expect(version(["hide", "show", "hide"])).to.equal(4);
  });

  const byOther: [Step[], "off" | "restyle" | "background", boolean][] = [
    [[], "off", false],
    [["restyle"], "off", false],
    [["background"], "off", true],
    [["background"], "restyle", true],
    [["background"], "background", false],
    [["hide", "restyle"], "off", false],
    [["hide", "background"], "restyle", false],
    [["background", "restyle"], "restyle", false],
    // The camera stays hidden until the restyle is seen, and "off" would show it at once.
    [["background", "restyle"], "off", true],
    [["background", "restyle", "shown 2"], "off", false],
  ];
  for (const [steps, mode, shows] of byOther) {
    const state = steps.join(", ") || "nothing asked";
    it(`knows whether "${mode}" would show the room after: ${state}`, () => {
      const settings = { off: undefined, restyle: restyle(), background: background() }[mode];
      expect(privacyAfter(steps).wouldShowRoom(settings)).to.equal(shows);
    });
  }

  it("is about pictures: voices pass always", () => {
    const nothing = { version: 1, original: false, generated: false };
    expect(permits(nothing, { kind: "audio", variant: "original" })).to.equal(true);
    expect(permits(nothing, { kind: "video", variant: "original" })).to.equal(false);
    expect(permits(nothing, { kind: "video", variant: "generated" })).to.equal(false);
  });

  it("tells what is tighter", () => {
    const policy = (original: boolean, generated: boolean) => ({ version: 1, original, generated });
    expect(tightens(policy(true, true), policy(false, true))).to.equal(true);
    expect(tightens(policy(false, true), policy(true, false)), "one of two").to.equal(true);
    expect(tightens(policy(false, false), policy(true, true))).to.equal(false);
    expect(tightens(policy(true, false), policy(true, false))).to.equal(false);
  });
});
