import { expect } from "chai";
import type { ParticipantInfo } from "../../../client/src/protocol.ts";
import { NO_MEDIA } from "../../../client/src/state.ts";
import { pictureState } from "../../../client/src/ui/picture-state.ts";

type Transform = NonNullable<ParticipantInfo["transform"]>;

function picture(change: Partial<ParticipantInfo>, state?: Transform["state"], reason = "") {
  const transform = state === undefined ? null : { state, reason, settings: null, delayMs: null };
  const info: ParticipantInfo = {
    participantId: "p",
    identity: "p",
    name: "P",
    joinedAtMs: 0,
    audio: true,
    video: "original",
    hideOriginal: false,
    transform,
    ...change,
  };
  return pictureState({ info, media: NO_MEDIA, status: null });
}

describe("what a tile says", () => {
  it("names the original and what is coming", () => {
    expect(picture({})).to.include({ show: "original", label: "Original" });
    expect(picture({}, "starting")).to.include({ show: "original", tone: "waiting" });
    expect(picture({}, "fallback", "the engine is gone")).to.include({
      reason: "The engine is gone.",
    });
  });

  it("names the generated picture and when it is slow or held", () => {
    expect(picture({ video: "generated" }, "live")).to.include({ show: "generated", tone: "live" });
    expect(picture({ video: "generated" }, "degraded")).to.include({
      show: "generated",
      tone: "warn",
    });
    expect(picture({ video: "generated" }, "fallback").show).to.equal("held");
  });

  it("never shows a picture where the server shows none", () => {
    for (const state of [undefined, "starting", "live", "fallback", "stopped"] as const) {
      const hidden = picture({ video: "none", hideOriginal: true }, state);
      expect(hidden.show, String(state)).to.be.oneOf(["none", "held"]);
      expect(hidden.label).not.to.equal("Camera off");
    }
    expect(picture({ video: "none" }).label).to.equal("Camera off");
  });
});
