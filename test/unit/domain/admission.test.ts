import { expect } from "chai";
import { Admission, type AdmissionLimits, type Claim } from "../../../server/domain/admission.ts";
import { codeOf, ManualClock } from "./support/people.ts";

const UNLIMITED = { perRoom: 0, perIdentity: 0, perAddress: 0, queueLength: 100 };

function claim(id: string, over: Partial<Claim> = {}): Claim {
  return { id, roomId: "room", identity: id, address: id, priority: "live", ...over };
}

function create(places: number, limits: Partial<AdmissionLimits> = {}) {
  const clock = new ManualClock();
  const admission = new Admission({ ...UNLIMITED, ...limits }, () => clock.nowMs);
  const told: string[] = [];
  admission.setPlaces(places);
  admission.onAdmitted = (id) => told.push(`${id} admitted`);
  admission.onMoved = (id) => told.push(`${id} at ${admission.placeOf(id)?.position}`);
  return { admission, clock, told };
}

function order(admission: Admission, ids: string[]): string[] {
  const position = (id: string) => admission.placeOf(id)?.position ?? 0;
  return ids.filter((id) => position(id) > 0).sort((a, b) => position(a) - position(b));
}

describe("admission", () => {
  it("serves who came first, and tells those behind where they stand", () => {
    const { admission, told } = create(1);
    expect(["a", "b", "c", "d"].map((id) => admission.request(claim(id)))).to.deep.equal([
      ...["admitted", "queued", "queued", "queued"],
    ]);
    admission.release("a");
    expect(told).to.deep.equal(["b admitted", "c at 1", "d at 2"]);
  });

  it("moves up those behind who gives a position up", () => {
    const { admission, told } = create(1);
    for (const id of ["a", "b", "c", "d"]) admission.request(claim(id));
    admission.release("c");
    expect(told).to.deep.equal(["d at 2"]);
    expect([admission.used, admission.waiting]).to.deep.equal([1, 2]);
  });

  it("keeps what one has who asks again", () => {
    const { admission } = create(1);
    admission.request(claim("a"));
    admission.request(claim("b"));
    admission.request(claim("c"));
    expect(admission.request(claim("a"))).to.equal("admitted");
    expect(admission.request(claim("b"))).to.equal("queued");
    expect(order(admission, ["a", "b", "c"])).to.deep.equal(["b", "c"]);
    expect(admission.used).to.equal(1);
  });

  it("serves live rooms before those who try a look", () => {
    const { admission, told } = create(1);
    admission.request(claim("a"));
    admission.request(claim("look 1", { priority: "preview" }));
    admission.request(claim("look 2", { priority: "preview" }));
    admission.request(claim("b"));
    admission.request(claim("c"));
    expect(order(admission, ["look 1", "look 2", "b", "c"])).to.deep.equal([
      ...["b", "c", "look 1", "look 2"],
    ]);
    expect(told.slice(0, 2)).to.deep.equal(["look 1 at 2", "look 2 at 3"]);
  });

  it("puts who got no place after all in front", () => {
    const { admission, told } = create(2);
    for (const id of ["a", "b", "c"]) admission.request(claim(id));
    admission.putBack("b");
    expect(told).to.deep.equal(["b at 1", "c at 2"]);
    expect(admission.request(claim("d")), "nobody passes by").to.equal("queued");
    admission.release("a");
    expect(told.slice(2)).to.deep.equal(["b admitted", "c admitted", "d at 1"]);
  });

  it("puts who only tries a look back behind live rooms", () => {
    const { admission } = create(2);
    const ids = ["a", "look 1", "b", "c", "look 2"];
    for (const id of ids) {
      admission.request(claim(id, { priority: id.startsWith("look") ? "preview" : "live" }));
    }
    admission.putBack("look 1");
    admission.request(claim("d"));
    expect(order(admission, [...ids, "d"])).to.deep.equal(["b", "c", "d", "look 1", "look 2"]);
  });

  it("takes nobody's place when there are fewer, and fills them when there are more", () => {
    const { admission, told } = create(3);
    for (const id of ["a", "b", "c", "d", "e"]) admission.request(claim(id));
    admission.setPlaces(1);
    expect(admission.used).to.equal(3);
    admission.release("a");
    admission.release("b");
    expect(told, "still one too many").to.deep.equal([]);
    admission.release("c");
    expect(told).to.deep.equal(["d admitted", "e at 1"]);
    admission.setPlaces(5);
    expect(told.slice(2)).to.deep.equal(["e admitted"]);
  });

  const shares: [keyof AdmissionLimits, Partial<Claim>, string][] = [
    ["perRoom", { roomId: "same" }, "room"],
    ["perIdentity", { identity: "same" }, "person"],
    ["perAddress", { address: "same" }, "network"],
  ];
  for (const [limit, same, word] of shares) {
    it(`counts holders and those who wait towards ${limit}`, () => {
      const own = (id: string) => claim(id, { roomId: id, identity: id, address: id, ...same });
      const { admission } = create(1, { [limit]: 2 });
      admission.request(own("a"));
      admission.request(own("b"));
      expect(() => admission.request(own("c"))).to.throw(new RegExp(`${word}.*: 2 at a time`, "u"));
      expect(admission.request(claim("d", { roomId: "other" }))).to.equal("queued");
      admission.release("b");
      expect(admission.request(own("c"))).to.equal("queued");
    });
  }

  it("refuses by name of the limit when the line is full, or when there is none", () => {
    const full = create(1, { queueLength: 1 }).admission;
    full.request(claim("a"));
    full.request(claim("b"));
    expect(() => full.request(claim("c"))).to.throw("limits.transformQueue");
    const none = create(1, { queueLength: 0 }).admission;
    none.request(claim("a"));
    expect(() => none.request(claim("b"))).to.throw("engine.maxSessions");
    expect(codeOf(() => none.request(claim("b")))).to.equal("ENGINE_FULL");
    expect(none.waiting).to.equal(0);
  });

  it("estimates the wait from how long places were held lately", () => {
    const { admission, clock } = create(2);
    for (const id of ["a", "b", "c", "d", "e"]) admission.request(claim(id));
    expect(admission.placeOf("c")).to.deep.equal({ position: 1, estimatedWaitSeconds: null });
    clock.advance(60_000);
    admission.release("a");
    // Two places of 60 s each: one becomes free every 30 s.
    expect(admission.placeOf("d")).to.deep.equal({ position: 1, estimatedWaitSeconds: 30 });
    expect(admission.placeOf("e")).to.deep.equal({ position: 2, estimatedWaitSeconds: 60 });
    clock.advance(20_000);
    admission.release("c");
    // 60 + 0.3 * (20 - 60) = 48
    expect(admission.placeOf("e")).to.deep.equal({ position: 1, estimatedWaitSeconds: 24 });
    admission.setPlaces(0);
    expect(admission.placeOf("e")?.estimatedWaitSeconds).to.equal(null);
    expect(admission.placeOf("b"), "holds a place").to.equal(null);
    expect(admission.placeOf("nobody")).to.equal(null);
  });

  it("bears those who are told giving up at once", () => {
    const { admission } = create(1);
    for (const id of ["a", "b", "c"]) admission.request(claim(id));
    const admitted: string[] = [];
    admission.onAdmitted = (id) => {
      admitted.push(id);
      admission.release(id);
    };
    admission.release("a");
    expect(admitted).to.deep.equal(["b", "c"]);
    expect([admission.used, admission.waiting]).to.deep.equal([0, 0]);
  });
});
