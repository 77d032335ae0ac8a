import { expect } from "chai";
import type { RoomsOptions } from "../../../server/domain/rooms.ts";
import { codeOf, createRooms, ManualClock, newParticipant } from "./support/people.ts";

function create(over: Partial<RoomsOptions> = {}) {
  const clock = new ManualClock();
  const rooms = createRooms(clock, over);
  const closed: string[] = [];
  rooms.on("closed", (room, reason) => closed.push(`${room.id}: ${reason}`));
  return { clock, rooms, closed };
}

describe("rooms", () => {
  it("makes an unknown room for the first who joins, and the same one for the next", () => {
    const { rooms } = create();
    expect(rooms.forJoin("team")).to.equal(rooms.forJoin("team"));
    expect(rooms.all.length).to.equal(1);
    expect(rooms.find("other")).to.equal(undefined);
  });

  it("makes none where autoCreate is off", () => {
    const { rooms } = create({ autoCreate: false });
    expect(codeOf(() => rooms.forJoin("team"))).to.equal("ROOM_NOT_FOUND");
    expect(codeOf(() => rooms.forPreview("team", "a"))).to.equal("ROOM_NOT_FOUND");
    rooms.create("team");
    expect(rooms.forJoin("team").id).to.equal("team");
    expect(rooms.forPreview("team", "a").private).to.equal(true);
  });

  it("removes a room that nobody ever joined", () => {
    const { rooms, clock, closed } = create();
    rooms.forJoin("team");
    clock.advance(59_999);
    expect(closed).to.deep.equal([]);
    clock.advance(1);
    expect(closed).to.deep.equal(["team: the room was empty"]);
    expect([rooms.all.length, clock.pending]).to.deep.equal([0, 0]);
  });

  it("counts emptiness anew each time that the last one leaves", () => {
    const { rooms, clock, closed } = create();
    const room = rooms.forJoin("team");
    clock.advance(50_000);
    room.join(newParticipant("ada"));
    clock.advance(100_000);
    room.leave("ada", "left");
    clock.advance(50_000);
    room.join(newParticipant("ben"));
    room.leave("ben", "left");
    clock.advance(59_999);
    expect(closed, "empty for less than 60 s").to.deep.equal([]);
    clock.advance(1);
    expect(closed.length).to.equal(1);
  });

  it("keeps a permanent room, also one that became it while it was empty", () => {
    const { rooms, clock } = create();
    rooms.create("lobby", true);
    const room = rooms.forJoin("team");
    rooms.create("team", true);
    room.join(newParticipant("ada"));
    room.leave("ada", "left");
    clock.advance(1e9);
    expect(rooms.all.map(({ id }) => id)).to.deep.equal(["lobby", "team"]);
    expect(clock.pending).to.equal(0);
  });

  it("does not let the timer of an old room end a new one of the same name", () => {
    const { rooms, clock } = create();
    rooms.forJoin("team");
    rooms.remove("team", "ended");
    clock.advance(30_000);
    const second = rooms.forJoin("team");
    clock.advance(59_999);
    expect(rooms.find("team")).to.equal(second);
  });

  it("ends a room: first its people leave, then it is closed", () => {
    const { rooms } = create();
    const room = rooms.forJoin("team");
    const seen: string[] = [];
    room.on("left", ({ id }, reason) => seen.push(`${id} left: ${reason}`));
    rooms.on("closed", (_, reason) => seen.push(`closed: ${reason}`));
    room.join(newParticipant("ada"));
    room.join(newParticipant("ben"));
    rooms.remove("team", "over");
    expect(seen).to.deep.equal(["ada left: over", "ben left: over", "closed: over"]);
    expect(codeOf(() => rooms.remove("team", "again"))).to.equal("ROOM_NOT_FOUND");
    expect(codeOf(() => room.join(newParticipant("cleo")))).to.equal("ROOM_NOT_FOUND");
  });

  it("limits rooms, and looks by address", () => {
    const { rooms, clock } = create({ maxRooms: 4 });
    rooms.forPreview("team", "a");
    const second = rooms.forPreview("team", "a");
    expect(() => rooms.forPreview("team", "a")).to.throw("limits.maxPreviewsPerAddress");
    rooms.forPreview("team", "b");
    rooms.forJoin("team");
    expect(codeOf(() => rooms.forJoin("another"))).to.equal("TOO_MANY_ROOMS");
    expect(() => rooms.forPreview("team", "c")).to.throw("limits.maxRooms: 4");
    expect(rooms.forJoin("team"), "one that exists can be joined").to.have.property("size", 0);
    rooms.remove(second.id, "over");
    expect(rooms.forPreview("team", "a").private).to.equal(true);
    clock.advance(2000);
    expect(
      rooms.all.map(({ id }) => id),
      "previews nobody came to",
    ).to.deep.equal(["team"]);
  });

  it("lets one person into a private room", () => {
    const { rooms, clock } = create();
    const room = rooms.forPreview("team", "a");
    room.join(newParticipant("ada"));
    expect(codeOf(() => room.join(newParticipant("ben")))).to.equal("ROOM_FULL");
    clock.advance(1e6);
    expect(rooms.find(room.id)).to.equal(room);
    room.leave("ada", "left");
    clock.advance(2000);
    expect(rooms.find(room.id)).to.equal(undefined);
  });

  it("lets nobody in while it drains, and ends everything on close", () => {
    const { rooms, clock, closed } = create();
    const room = rooms.forJoin("team");
    room.join(newParticipant("ada"));
    rooms.forPreview("team", "a");
    rooms.drain();
    for (const work of [
      () => rooms.forJoin("team"),
      () => rooms.forJoin("new"),
      () => rooms.forPreview("team", "b"),
      () => rooms.create("new"),
    ]) {
      expect(codeOf(work)).to.equal("SHUTTING_DOWN");
    }
    expect(room.size, "who is in stays").to.equal(1);
    rooms.close();
    expect(closed.length).to.equal(2);
    expect([rooms.all.length, room.size, clock.pending]).to.deep.equal([0, 0, 0]);
  });
});
