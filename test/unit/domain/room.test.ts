import { expect } from "chai";
import { Room } from "../../../server/domain/room.ts";
import { DriftlessError } from "../../../server/errors.ts";
import {
  background,
  codeOf,
  createRoom,
  newParticipant,
  OFF,
  planOf,
  recordEvents,
  restyle,
  STATUS,
  track,
} from "./support/people.ts";

const REFUSAL = new DriftlessError("ENGINE_REFUSED", "The prompt is not taken.");

function create() {
  const room = createRoom(3);
  const ada = room.join(newParticipant("ada"));
  const ben = room.join(newParticipant("ben"));
  room.publish(ada, track("ada", "camera"));
  return { room, ada, ben, events: recordEvents(room) };
}

describe("room", () => {
  describe("who is in", () => {
    it("is full at its limit, and has a place again when somebody leaves", () => {
      const { room, events } = create();
      room.join(newParticipant("cleo"));
      expect(codeOf(() => room.join(newParticipant("dan")))).to.equal("ROOM_FULL");
      room.leave("cleo", "left");
      room.join(newParticipant("dan"));
      expect(events()).to.deep.equal(["joined cleo", "left cleo", "joined dan"]);
    });

    it("lets the same identity in again only when its connection is broken", () => {
      const { room, ada, events } = create();
      room.join(newParticipant("cleo"));
      const again = newParticipant("ada 2", { identity: "ada" });
      expect(codeOf(() => room.join(again))).to.equal("IDENTITY_IN_USE");
      ada.connected = false;
      events();
      room.join(again);
      expect(events(), "in a full room, too").to.deep.equal(["left ada", "joined ada 2"]);
      expect(room.find("ada")).to.equal(undefined);
    });

    it("tells once that it is empty, and nothing of those who have left", () => {
      const { room, ada, events } = create();
      room.leave("ben", "left");
      room.leave("ada", "left");
      room.leave("ada", "left");
      expect(events()).to.deep.equal(["left ben", "left ada", "empty"]);
      room.publish(ada, track("ada", "microphone"));
      room.unpublish(ada, track("ada", "camera"));
      room.onTransformApplied(ada, { revision: 0, captureTimeMs: 0, complete: true });
      room.onTransformRefused(ada, 0, REFUSAL);
      room.onTransformStatus(ada, { ...STATUS, settings: restyle() });
      expect(events()).to.deep.equal([]);
      expect(codeOf(() => room.participant("ada"))).to.equal("PARTICIPANT_NOT_FOUND");
    });

    it("ends everybody's stay when it is closed, and is not empty by that", () => {
      const { room, events } = create();
      room.close("over");
      room.close("again");
      expect(events()).to.deep.equal(["left ada", "left ben"]);
    });
  });

  describe("tracks", () => {
    it("keeps a newer track when an older one ends", () => {
      const { room, ada, events } = create();
      const newer = track("ada", "camera", 2);
      room.publish(ada, newer);
      events();
      room.unpublish(ada, track("ada", "camera", 1));
      expect([ada.camera, events()]).to.deep.equal([newer, []]);
    });

    it("tells the wish before the camera is planned for anybody", () => {
      const { room, ben, events } = create();
      room.publish(ben, track("ben", "camera"));
      expect(events()).to.deep.equal(["wishChanged ben", "planChanged ben", "updated ben"]);
    });

    it("keeps people and wishes when all media is lost", () => {
      const { room, ada, ben } = create();
      room.publish(ada, track("ada", "microphone"));
      room.wish(ada, restyle());
      room.addGenerated(ada, track("ada", "generated"));
      room.mediaLost();
      expect(planOf(room, ada, ben)).to.deep.equal([]);
      expect([room.size, ada.wish.settings?.mode]).to.deep.equal([2, "restyle"]);
    });

    it("counts a new generated track as empty until it has frames", () => {
      const { room, ada, ben } = create();
      room.wish(ada, restyle());
      room.addGenerated(ada, track("ada", "generated", 1));
      room.setGeneratedPicture(ada, "fresh");
      room.addGenerated(ada, track("ada", "generated", 2));
      expect(planOf(room, ada, ben)).to.deep.equal(["ada camera 1", "(ada generated 2)"]);
    });
  });

  describe("wishes", () => {
    it("tells what is forbidden before everything else", () => {
      const { room, ada, events } = create();
      room.wish(ada, background());
      expect(events().slice(0, 2)).to.deep.equal(["policyChanged ada", "wishChanged ada"]);
      room.wish(ada, background("a forest"));
      expect(events(), "nothing to forbid").not.to.include("policyChanged ada");
    });

    it("takes a background before there is a camera, but no restyle", () => {
      const { room, ada, ben } = create();
      expect(codeOf(() => room.wish(ben, restyle()))).to.equal("NO_VIDEO");
      expect(ben.wish.revision).to.equal(0);
      room.wish(ben, background());
      room.publish(ben, track("ben", "camera"));
      expect(planOf(room, ben, ada)).to.deep.equal([]);
    });

    it("does not let another person show a hidden room", () => {
      const { room, ada } = create();
      room.wish(ada, background());
      for (const wanted of [OFF, restyle()]) {
        expect(codeOf(() => room.wish(ada, wanted, true))).to.equal("FORBIDDEN");
      }
      expect(codeOf(() => room.wish(ada, background("a forest"), true))).to.equal("none");
      room.hideRoom(ada, true);
      expect(
        codeOf(() => room.wish(ada, OFF, true)),
        "hidden anyway",
      ).to.equal("none");
      expect(ada.policy.original).to.equal(false);
    });

    it("says nothing when a switch is where it was", () => {
      const { room, ada, events } = create();
      const version = room.hideRoom(ada, false);
      expect([version, events(), ada.wish.revision]).to.deep.equal([1, [], 0]);
    });
  });

  describe("refusals", () => {
    it("go back to the settings that the engine took last", () => {
      const { room, ada } = create();
      const oil = room.wish(ada, restyle("oil"));
      room.onTransformAccepted(ada, oil);
      const ink = room.wish(ada, restyle("ink"));
      const chalk = room.wish(ada, restyle("chalk"));
      room.onTransformApplied(ada, { revision: ink, captureTimeMs: 0, complete: true });
      room.onTransformRefused(ada, chalk, REFUSAL);
      expect(ada.wish).to.deep.include({ settings: restyle("ink"), revision: chalk + 1 });
    });

    it("of an older wish change nothing", () => {
      const { room, ada, events } = create();
      const older = room.wish(ada, restyle("oil"));
      room.wish(ada, restyle("ink"));
      events();
      room.onTransformRefused(ada, older, REFUSAL);
      expect(events()).to.deep.equal(["transformRefused ada"]);
      expect(ada.wish.settings).to.deep.equal(restyle("ink"));
    });

    it("end a first transform", () => {
      const { room, ada } = create();
      room.onTransformRefused(ada, room.wish(ada, restyle()), REFUSAL);
      expect([ada.wish.settings, ada.policy.original]).to.deep.equal([undefined, true]);
    });

    it("never show the room that the refused wish hides", () => {
      const { room, ada } = create();
      room.onTransformAccepted(ada, room.wish(ada, restyle()));
      room.onTransformRefused(ada, room.wish(ada, background()), REFUSAL);
      expect([ada.wish.settings?.mode, ada.policy.original]).to.deep.equal(["background", false]);
    });

    it("do not bring a wish back that was given up", () => {
      const { room, ada } = create();
      const given = room.wish(ada, restyle("oil"));
      room.wish(ada, OFF);
      room.onTransformAccepted(ada, given);
      room.onTransformRefused(ada, room.wish(ada, restyle("ink")), REFUSAL);
      expect(ada.wish.settings).to.equal(undefined);
    });
  });

  it("tells figures alone while nothing else changes", () => {
    const { room, ada, events } = create();
    room.wish(ada, restyle());
    const status = { ...STATUS, settings: restyle() };
    room.onTransformStatus(ada, status);
    events();
    room.onTransformStatus(ada, { ...status, delayMs: 224, fps: 15 });
    expect(events()).to.deep.equal(["transformFigures ada"]);
    expect(ada.figures).to.include({ delayMs: 224, fps: 15 });
    room.onTransformStatus(ada, { ...status, state: "degraded" });
    expect(events()).to.deep.equal(["transformState ada", "updated ada"]);
  });

  it("tells a delay that creeps in steps that can be heard", () => {
    const { room, ada, events } = create();
    room.wish(ada, restyle());
    const told: number[] = [];
    room.on("transformState", () => told.push(ada.transform.delayMs ?? 0));
    for (let delayMs = 200; delayMs <= 260; delayMs += 10) {
      room.onTransformStatus(ada, { ...STATUS, settings: restyle(), delayMs });
    }
    expect(told).to.deep.equal([200, 230, 260]);
    expect(events().filter((event) => event === "transformFigures ada").length).to.equal(4);
  });

  it("changes the plan of who looks, and of those alone at whom the look has changed", () => {
    const { room, ada, ben, events } = create();
    room.setViews(ben, new Map([["ada", { visible: false, width: 0, height: 0 }]]));
    expect(events()).to.deep.equal(["planChanged ada for ben"]);
    expect(planOf(room, ada, ben)).to.deep.equal(["(ada camera 1)"]);
    room.setViews(ben, new Map());
    expect(planOf(room, ada, ben)).to.deep.equal(["ada camera 1"]);
  });

  it("goes on when a listener throws, and reports it", () => {
    const reported: string[] = [];
    const room = new Room({
      ...{ id: "room", private: false, permanent: false, createdAtMs: 0, maxParticipants: 2 },
      onListenerError: (error, event) => reported.push(`${event}: ${String(error)}`),
    });
    const joined: string[] = [];
    room.on("joined", () => {
      throw new Error("broken");
    });
    room.on("joined", ({ id }) => joined.push(id));
    room.join(newParticipant("ada"));
    expect([joined, reported]).to.deep.equal([["ada"], ["joined: Error: broken"]]);
  });
});
