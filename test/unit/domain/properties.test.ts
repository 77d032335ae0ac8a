import { expect } from "chai";
import fc from "fast-check";
import { Admission } from "../../../server/domain/admission.ts";
import type { Endpoint } from "../../../server/domain/memberships.ts";
import type { TransformSettings } from "../../../server/domain/settings.ts";
import {
  background,
  codeOf,
  createMemberships,
  createRooms,
  GRACE_MS,
  ManualClock,
  OFF,
  person,
  RESUME_MS,
  restyle,
} from "./support/people.ts";
import { type Command, command, RoomModel } from "./support/room-model.ts";

const ARRIVAL: Command[] = [
  { type: "join", who: "ada", on: false },
  { type: "publish", who: "ada", source: "camera" },
];
const wish = (wanted: TransformSettings): Command => ({
  ...{ type: "wish", who: "ada", wanted, byOther: false },
});

/** Orders of events that have gone wrong once. */
const ONCE_WRONG: [string, Command[]][] = [
  [
    "a refusal after a background that was never taken",
    [wish(background()), wish(restyle()), { type: "refused", who: "ada", offset: 0 }],
  ],
  [
    "an answer to a revision that nobody has asked for",
    [
      wish(restyle()),
      { type: "generatedAdded", who: "ada" },
      { type: "applied", who: "ada", offset: 5, on: true },
      { type: "hideRoom", who: "ada", on: true },
    ],
  ],
  [
    "hidden right after the end of a transform",
    [
      wish(restyle()),
      { type: "generatedAdded", who: "ada" },
      wish(OFF),
      { type: "hideRoom", who: "ada", on: true },
    ],
  ],
  [
    "a refusal after a change that the engine had taken",
    [
      wish(restyle("oil")),
      { type: "accepted", who: "ada", offset: 0 },
      wish(restyle("ink")),
      { type: "applied", who: "ada", offset: 0, on: true },
      wish(restyle("chalk")),
      { type: "refused", who: "ada", offset: 0 },
    ],
  ],
];

describe("any order of events in a room", () => {
  const run = (commands: readonly Command[]) => {
    const model = new RoomModel();
    for (const each of commands) model.run(each);
  };

  it("hides what must be hidden, and the last wish wins", () => {
    const arrivals: Command[] = (["ada", "ben"] as const).flatMap((who) => [
      { type: "join", who, on: false },
      { type: "publish", who, source: "camera" },
    ]);
    fc.assert(
      fc.property(fc.array(command, { maxLength: 30 }), (commands) => {
        run([...arrivals, ...commands]);
      }),
      { numRuns: 300 },
    );
  });

  for (const [name, commands] of ONCE_WRONG) it(name, () => run([...ARRIVAL, ...commands]));
});

describe("any order of connections", () => {
  const step = fc.oneof(
    fc.record({
      ...{ type: fc.constant("enter"), identity: fc.constantFrom("ada", "ben") },
      roomId: fc.constantFrom("a", "b"),
    }),
    fc.record({ type: fc.constant("detach"), index: fc.nat(9), final: fc.boolean() }),
    fc.record({
      ...{ type: fc.constant("resume"), index: fc.nat(9), roomId: fc.constantFrom("a", "b") },
    }),
    fc.record({ type: fc.constant("wait"), ms: fc.constantFrom(1000, GRACE_MS, RESUME_MS + 1) }),
    fc.record({ type: fc.constant("leave"), index: fc.nat(9) }),
    fc.record({ type: fc.constant("end"), roomId: fc.constantFrom("a", "b") }),
  );

  it("gives one place to one person, and each place to its own secret", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const clock = new ManualClock();
        const rooms = createRooms(clock);
        const memberships = createMemberships(clock, rooms);
        /** Connections that serve a participant. */
        const serving = new Map<Endpoint, string>();
        const endpoints: Endpoint[] = [];
        const given: { secret: string; identity: string; roomId: string; id: string }[] = [];
        const gone = new Map<string, string>();
        rooms.on("opened", (room) =>
          room.on("left", ({ id }, reason) => {
            gone.set(id, reason);
            for (const [endpoint, served] of serving) if (served === id) serving.delete(endpoint);
          }),
        );
        const open = () => {
          const endpoint: Endpoint = { onReplaced: () => serving.delete(endpoint) };
          endpoints.push(endpoint);
          return endpoint;
        };

        for (const each of steps) {
          if (each.type === "wait") clock.advance(each.ms);
          if (each.type === "end" && rooms.find(each.roomId)) rooms.remove(each.roomId, "over");
          if (each.type === "enter") {
            const room = rooms.forJoin(each.roomId);
            const same = room.participants.find(({ identity }) => identity === each.identity);
            const endpoint = open();
            const expected = same?.connected ? "IDENTITY_IN_USE" : "none";
            const enter = () => {
              const { secret, participant } = memberships.enter(
                room,
                person(each.identity),
                "192.0.2.1",
                endpoint,
              );
              serving.set(endpoint, participant.id);
              given.push({ ...each, secret, id: participant.id });
            };
            expect(codeOf(enter), "entering").to.equal(expected);
          }
          if (each.type === "detach") {
            const endpoint = endpoints[each.index];
            const served = endpoint && serving.get(endpoint);
            const { id } = given[each.index] ?? {};
            // Also those that serve somebody else, or nobody any more.
            if (endpoint !== undefined && (served ?? id) !== undefined) {
              memberships.detach((served ?? id) as string, endpoint, each.final);
              serving.delete(endpoint);
            }
          }
          if (each.type === "leave") {
            const id = given[each.index]?.id;
            for (const room of rooms.all) if (id !== undefined) room.leave(id, "left");
          }
          const ticket = each.type === "resume" ? given[each.index] : undefined;
          if (each.type === "resume" && ticket !== undefined) {
            const endpoint = open();
            const known = memberships.knows(ticket.secret);
            const inPlace = !gone.has(ticket.id);
            const resume = () => {
              const back = memberships.resume(ticket.secret, each.roomId, "192.0.2.1", endpoint);
              if (back === undefined) {
                expect(known && each.roomId === ticket.roomId, "a good secret").to.equal(false);
                return;
              }
              serving.set(endpoint, back.participant.id);
              expect(known, "a secret that is not known").to.equal(true);
              expect([back.participant.identity, back.roomId]).to.deep.equal([
                ...[ticket.identity, ticket.roomId],
              ]);
              if (inPlace) expect(back.participant.id, "the same stay").to.equal(ticket.id);
              else {
                expect(gone.get(ticket.id), "given up for good").to.equal("lost the connection");
                given.push({ ...ticket, secret: back.secret, id: back.participant.id });
              }
            };
            expect(codeOf(resume)).to.be.oneOf(["none", inPlace ? "none" : "IDENTITY_IN_USE"]);
          }

          const served = new Set(serving.values());
          for (const room of rooms.all) {
            const identities = room.participants.map(({ identity }) => identity);
            expect(new Set(identities).size, "an identity twice in a room").to.equal(
              identities.length,
            );
            for (const { id, connected } of room.participants) {
              expect(connected, `${id} is connected by a connection`).to.equal(served.has(id));
            }
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("any order of claims", () => {
  const id = fc.integer({ min: 0, max: 7 }).map((number) => `p${number}`);
  const step = fc.oneof(
    fc.record({ type: fc.constant("request"), id }),
    fc.record({ type: fc.constant("request"), id }),
    fc.record({ type: fc.constant("release"), id }),
    fc.record({ type: fc.constant("putBack"), id }),
    fc.record({ type: fc.constant("places"), places: fc.nat(4) }),
  );
  /** Even ones are live, odd ones try a look. */
  const priorityOf = (id: string) => (Number(id.slice(1)) % 2 === 0 ? "live" : "preview");

  it("gives no place twice, and serves in order", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const limits = { perRoom: 0, perIdentity: 0, perAddress: 0, queueLength: 4 };
        const admission = new Admission(limits, () => 0);
        const holders = new Set<string>();
        /** Those who wait, in the order in which each kind is served: lower is earlier. */
        const waiting = new Map<string, number>();
        let places = 0;
        let count = 0;
        let mayIdle = false;
        admission.onAdmitted = (admitted) => {
          const rank = waiting.get(admitted);
          expect(rank, `${admitted} did not wait`).not.to.equal(undefined);
          for (const [other, otherRank] of waiting) {
            const before =
              priorityOf(other) === priorityOf(admitted)
                ? otherRank < (rank as number)
                : priorityOf(other) === "live";
            expect(before, `${admitted} is served before ${other}`).to.equal(false);
          }
          waiting.delete(admitted);
          holders.add(admitted);
          expect(holders.size, "more places are given than there are").to.be.at.most(places);
        };
        for (const each of steps) {
          if (each.type === "places") {
            places = each.places;
            mayIdle = false;
            admission.setPlaces(places);
          } else if (each.type === "release") {
            holders.delete(each.id);
            waiting.delete(each.id);
            mayIdle = false;
            admission.release(each.id);
          } else if (each.type === "putBack") {
            if (holders.delete(each.id)) {
              waiting.set(each.id, -++count);
              mayIdle = true;
            }
            admission.putBack(each.id);
          } else if (holders.has(each.id) || waiting.has(each.id)) {
            const has = holders.has(each.id) ? "admitted" : "queued";
            expect(admission.request({ ...claimOf(each.id) })).to.equal(has);
          } else {
            let result = "";
            const code = codeOf(() => {
              result = admission.request(claimOf(each.id));
            });
            const free = waiting.size === 0 && holders.size < places;
            expect([code, result]).to.deep.equal(
              free
                ? ["none", "admitted"]
                : waiting.size < limits.queueLength
                  ? ["none", "queued"]
                  : ["ENGINE_FULL", ""],
            );
            if (result === "admitted") holders.add(each.id);
            if (result === "queued") waiting.set(each.id, ++count);
          }
          expect([admission.used, admission.waiting]).to.deep.equal([holders.size, waiting.size]);
          const positions = [...waiting.keys()].map((one) => admission.placeOf(one)?.position ?? 0);
          expect(
            positions.sort((a, b) => a - b),
            "positions 1, 2, …",
          ).to.deep.equal(positions.map((_, index) => index + 1));
          for (const one of holders) expect(admission.placeOf(one)).to.equal(null);
          if (waiting.size > 0 && !mayIdle) {
            expect(holders.size, "a place is left while somebody waits").to.be.at.least(places);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  function claimOf(one: string) {
    const priority = priorityOf(one);
    return { id: one, roomId: "room", identity: one, address: one, priority } as const;
  }
});
