import { expect } from "chai";
import type { ParticipantInfo } from "../../../client/src/protocol.ts";
import { NO_MEDIA } from "../../../client/src/state.ts";
import { pictureState, queueWords } from "../../../client/src/ui/picture-state.ts";

const EMPTY_STATUS = {
  participantId: "p",
  revision: 1,
  state: "queued",
  reason: "",
  settings: null,
  delayMs: null,
  level: "full",
  video: "original",
  fps: 0,
  bitrateBps: 0,
} as const;

type Transform = NonNullable<ParticipantInfo["transform"]>;

function person(change: Partial<ParticipantInfo>, state?: Transform["state"], reason = "") {
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
  return { info, media: NO_MEDIA, status: null };
}

function picture(...of: Parameters<typeof person>) {
  return pictureState(person(...of));
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
    for (const state of [undefined, "starting", "live", "queued", "fallback", "stopped"] as const) {
      const hidden = picture({ video: "none", hideOriginal: true }, state);
      // Not even held: a frame from before may show the room.
      expect(hidden.show, String(state)).to.equal("none");
      expect(hidden.label).not.to.equal("Camera off");
    }
    expect(picture({ video: "none" }).label).to.equal("Camera off");
  });

  it("says where one stands who waits for a place", () => {
    const waiting = person({ video: "original" }, "queued");
    const queue = { position: 2, estimatedWaitSeconds: 38 };
    const status = { ...EMPTY_STATUS, queue };
    expect(pictureState({ ...waiting, status })).to.include({
      show: "original",
      label: "Waiting for a place",
      reason: "2nd in line, about 40 s.",
      tone: "waiting",
    });
  });

  it("says on the own tile what comes and what is interrupted", () => {
    const live = person({ video: "generated" }, "live");
    const none = { lookComing: false, interrupted: false, cameraOff: false };
    expect(pictureState(live, none).label).to.equal("Generated");
    expect(pictureState(live, { ...none, lookComing: true })).to.include({
      show: "generated",
      label: "New look coming in",
    });
    const paused = person({ video: "none" }, "fallback", "no video arrives");
    expect(pictureState(paused, { ...none, cameraOff: true }).label).to.equal("Camera off");
    expect(pictureState(live, { ...none, interrupted: true })).to.include({ tone: "warn" });
  });
});

describe("a place in the line", () => {
  it("is told in words, with a round time or none", () => {
    const words = (position: number, estimatedWaitSeconds: number | null) =>
      queueWords({ position, estimatedWaitSeconds });
    expect(words(1, null)).to.equal("Next in line");
    expect(words(3, 1)).to.equal("3rd in line, about 5 s");
    expect(words(11, 89)).to.equal("11th in line, about 90 s");
    expect(words(22, 600)).to.equal("22nd in line, about 10 min");
  });
});
