import { expect } from "chai";
import type { Participant } from "../../../server/domain/participant.ts";
import type { Room } from "../../../server/domain/room.ts";
import { background, createRoom, newParticipant, OFF, track } from "./support/people.ts";

/** Follows a room as its media does: one plan for each viewer that an event concerns. */
function follow(room: Room) {
  let plans = 0;
  const subscribers = new Set<Participant>();
  const plan = (publisher: Participant, viewer: Participant) => {
    room.plan(publisher, viewer);
    plans++;
  };
  room.on("planChanged", (publisher, viewer) => {
    if (viewer !== undefined) plan(publisher, viewer);
    else for (const each of subscribers) if (each !== publisher) plan(publisher, each);
  });
  room.on("left", (participant) => subscribers.delete(participant));
  return {
    subscribe(viewer: Participant) {
      subscribers.add(viewer);
      for (const publisher of room.participants) if (publisher !== viewer) plan(publisher, viewer);
    },
    costOf(change: () => void): number {
      const before = plans;
      change();
      return plans - before;
    },
  };
}

function crowd(n: number) {
  const room = createRoom(n + 1);
  const media = follow(room);
  const join = (id: string) => {
    const participant = room.join(newParticipant(id));
    media.subscribe(participant);
    return participant;
  };
  const people = Array.from({ length: n }, (_, i) => join(`p${i}`));
  for (const who of people) {
    room.publish(who, track(who.id, "camera"));
    room.publish(who, track(who.id, "microphone"));
  }
  return { room, media, join, first: people[0] as Participant };
}

describe("what a change costs in plans", () => {
  for (const n of [10, 50, 100]) {
    it(`grows with what changed and not with the square of ${n} people`, () => {
      const { room, media, join, first } = crowd(n);
      const { costOf } = media;
      const muted = costOf(() => room.setPaused(first, "microphone", true));
      expect(muted, "a mute").to.equal(n - 1);
      const again = costOf(() => room.setPaused(first, "microphone", true));
      expect(again, "a mute of who is muted").to.equal(0);
      const picture = costOf(() => room.setGeneratedPicture(first, "fresh"));
      expect(picture, "a first generated frame").to.equal(n - 1);

      const background1 = costOf(() => room.wish(first, background()));
      expect(background1, "a wish that hides the room").to.be.within(n - 1, 2 * (n - 1));
      const background2 = costOf(() => room.wish(first, background("a forest")));
      expect(background2, "a wish that changes the look only").to.be.at.most(n - 1);
      expect(
        costOf(() => room.wish(first, OFF)),
        "off",
      ).to.be.within(n - 1, 2 * (n - 1));

      const view = { visible: false, width: 0, height: 0 };
      const views = new Map([["p1", view]]);
      expect(
        costOf(() => room.setViews(first, views)),
        "one tile scrolled away",
      ).to.equal(1);
      expect(
        costOf(() => room.setViews(first, views)),
        "the same views",
      ).to.equal(0);

      expect(
        costOf(() => join("late")),
        "a join",
      ).to.equal(n);
      const late = room.participant("late");
      const camera = costOf(() => room.publish(late, track("late", "camera")));
      expect(camera, "its camera").to.equal(n);
      expect(
        costOf(() => room.leave("late", "left")),
        "a leave",
      ).to.equal(0);
    });
  }
});
