import { expect } from "chai";
import type { Endpoint } from "../../../server/domain/memberships.ts";
import {
  codeOf,
  createMemberships,
  createRooms,
  GRACE_MS,
  ManualClock,
  person,
  RESUME_MS,
} from "./support/people.ts";

const ADDRESS = "192.0.2.1";

function create() {
  const clock = new ManualClock();
  const rooms = createRooms(clock);
  const memberships = createMemberships(clock, rooms);
  const left: string[] = [];
  rooms.on("opened", (room) =>
    room.on("left", ({ identity }, reason) => left.push(`${identity}: ${reason}`)),
  );
  const replaced: string[] = [];
  const endpoint = (name: string): Endpoint => ({ onReplaced: () => replaced.push(name) });
  const enter = (identity: string, at: Endpoint, roomId = "team") =>
    memberships.enter(rooms.forJoin(roomId), person(identity), ADDRESS, at);
  return { clock, rooms, memberships, left, replaced, endpoint, enter };
}

describe("memberships", () => {
  it("keeps the place of a broken connection, and gives it back to the secret", () => {
    const { clock, memberships, left, endpoint, enter } = create();
    const first = endpoint("first");
    const { participant, secret } = enter("ada", first);
    memberships.detach(participant.id, first, false);
    expect(participant.connected).to.equal(false);
    clock.advance(GRACE_MS - 1);
    const back = memberships.resume(secret, "team", ADDRESS, endpoint("second"));
    expect(back?.participant).to.equal(participant);
    expect(participant.connected).to.equal(true);
    clock.advance(10 * GRACE_MS);
    expect(left, "the timer is off").to.deep.equal([]);
  });

  it("ends the place when the time is over", () => {
    const { clock, memberships, left, endpoint, enter } = create();
    const first = endpoint("first");
    memberships.detach(enter("ada", first).participant.id, first, false);
    clock.advance(GRACE_MS);
    expect(left).to.deep.equal(["ada: lost the connection"]);
  });

  it("gives a place up at once when the connection was closed on purpose", () => {
    const { memberships, left, endpoint, enter } = create();
    const first = endpoint("first");
    const { participant, secret } = enter("ada", first);
    memberships.detach(participant.id, first, true);
    expect(left).to.deep.equal(["ada: left"]);
    expect(memberships.knows(secret)).to.equal(false);
    expect(memberships.resume(secret, "team", ADDRESS, endpoint("second"))).to.equal(undefined);
  });

  it("replaces the connection that was there, whose end then means nothing", () => {
    const { clock, memberships, left, replaced, endpoint, enter } = create();
    const first = endpoint("first");
    const second = endpoint("second");
    const { participant, secret } = enter("ada", first);
    memberships.resume(secret, "team", ADDRESS, second);
    expect(replaced).to.deep.equal(["first"]);
    memberships.detach(participant.id, first, true);
    memberships.detach(participant.id, first, false);
    clock.advance(GRACE_MS);
    expect([participant.connected, left.length]).to.deep.equal([true, 0]);
    memberships.resume(secret, "team", ADDRESS, second);
    expect(replaced, "the same connection does not replace itself").to.deep.equal(["first"]);
  });

  it("lets in again, as the same person, who was away for longer", () => {
    const { clock, rooms, memberships, endpoint } = create();
    const first = endpoint("first");
    const room = rooms.forJoin("team");
    const { participant, secret } = memberships.enter(room, person("ada"), ADDRESS, first);
    const grants = { ...participant.grants, publish: false };
    participant.grants = grants;
    room.hideRoom(participant, true);
    memberships.detach(participant.id, first, false);
    clock.advance(GRACE_MS + RESUME_MS);
    expect(rooms.find("team"), "the empty room is gone meanwhile").to.equal(undefined);
    const back = memberships.resume(secret, "team", ADDRESS, endpoint("second"));
    expect(back?.participant.id).not.to.equal(participant.id);
    expect(back?.participant).to.include({ identity: "ada", hideRoom: true, grants });
    expect(back?.participant.policy.original, "hidden from the start").to.equal(false);
    expect(back?.secret).not.to.equal(secret);
    expect(memberships.knows(secret), "used up").to.equal(false);
  });

  it("forgets a secret in the end", () => {
    const { clock, memberships, endpoint, enter } = create();
    const first = endpoint("first");
    const { participant, secret } = enter("ada", first);
    memberships.detach(participant.id, first, false);
    clock.advance(GRACE_MS + RESUME_MS);
    expect(memberships.knows(secret)).to.equal(true);
    clock.advance(1);
    expect(memberships.knows(secret), "also for who only connects").to.equal(false);
    expect(memberships.resume(secret, "team", ADDRESS, endpoint("second"))).to.equal(undefined);
  });

  it("opens one room with a secret, and nothing with an unknown one", () => {
    const { clock, memberships, endpoint, enter } = create();
    const first = endpoint("first");
    const { participant, secret } = enter("ada", first);
    const resume = (text: string, roomId: string) =>
      memberships.resume(text, roomId, ADDRESS, endpoint("second"));
    expect(resume(secret, "other")).to.equal(undefined);
    expect(resume("guess", "team")).to.equal(undefined);
    memberships.detach(participant.id, first, false);
    clock.advance(GRACE_MS);
    expect(resume(secret, "other")).to.equal(undefined);
    expect(resume(secret, "team")?.participant.identity).to.equal("ada");
  });

  it("keeps one place for one identity", () => {
    const { memberships, left, endpoint, enter } = create();
    const first = endpoint("first");
    const { participant, secret } = enter("ada", first);
    expect(codeOf(() => enter("ada", endpoint("second")))).to.equal("IDENTITY_IN_USE");
    expect(enter("ada", endpoint("elsewhere"), "other").roomId).to.equal("other");
    memberships.detach(participant.id, first, false);
    const again = enter("ada", endpoint("third"));
    expect(left).to.deep.equal(["ada: came back on another connection"]);
    expect(again.room.size).to.equal(1);
    expect(memberships.resume(secret, "team", ADDRESS, first), "the old secret").to.equal(
      undefined,
    );
  });

  it("does not use a secret up that finds the person in already", () => {
    const { clock, memberships, endpoint, enter } = create();
    const first = endpoint("first");
    const { participant, secret } = enter("ada", first);
    memberships.detach(participant.id, first, false);
    clock.advance(GRACE_MS);
    const second = endpoint("second");
    const again = enter("ada", second);
    const resume = () => memberships.resume(secret, "team", ADDRESS, endpoint("third"));
    expect(codeOf(resume)).to.equal("IDENTITY_IN_USE");
    memberships.detach(again.participant.id, second, true);
    expect(resume()?.participant.identity).to.equal("ada");
  });

  it("does not keep the place of a private room for later", () => {
    const { clock, rooms, memberships, endpoint } = create();
    const room = rooms.forPreview("team", ADDRESS);
    const first = endpoint("first");
    const { participant, secret } = memberships.enter(room, person("ada"), ADDRESS, first);
    memberships.detach(participant.id, first, false);
    clock.advance(GRACE_MS);
    expect(memberships.knows(secret)).to.equal(false);
  });

  it("expels those it concerns, present or away, and voids their secrets", () => {
    const { clock, memberships, left, endpoint, enter } = create();
    const [a, b] = [endpoint("a"), endpoint("b")];
    const ada = enter("ada", a);
    memberships.detach(ada.participant.id, a, false);
    clock.advance(GRACE_MS);
    const elsewhere = enter("ada", b, "other");
    const ben = enter("ben", endpoint("c"));
    left.length = 0;
    expect(memberships.expel(({ identity }) => identity === "ada", "removed")).to.equal(1);
    expect(left).to.deep.equal(["ada: removed"]);
    const known = [ada, elsewhere, ben].map(({ secret }) => memberships.knows(secret));
    expect(known).to.deep.equal([false, false, true]);
  });

  it("knows the token that was refreshed last", () => {
    const { memberships, endpoint, enter } = create();
    const { participant } = enter("ada", endpoint("first"));
    const token = { room: "team", identity: "ada", jti: "2", issuedAtMs: 0 };
    const grants = { ...participant.grants, admin: true };
    memberships.onTokenRefreshed(participant.id, grants, token);
    expect(participant.grants.admin).to.equal(true);
    expect(memberships.expel((who) => who.token?.jti === "1", "revoked")).to.equal(0);
    expect(memberships.expel((who) => who.token?.jti === "2", "revoked")).to.equal(1);
    const refresh = () => memberships.onTokenRefreshed(participant.id, grants, token);
    expect(codeOf(refresh)).to.equal("NOT_JOINED");
  });

  it("forgets everybody when the room ends, and stops their timers", () => {
    const { clock, rooms, memberships, endpoint, enter } = create();
    const first = endpoint("first");
    const { participant, secret } = enter("ada", first);
    memberships.detach(participant.id, first, false);
    rooms.remove("team", "over");
    expect(memberships.knows(secret)).to.equal(false);
    expect(clock.pending).to.equal(0);
  });
});
