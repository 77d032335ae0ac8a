import { expect } from "chai";
import fc from "fast-check";
import type { EngineTrace } from "../../../server/engine/link/engine-link.ts";
import { NO_TRACE } from "../../../server/engine/link/engine-link.ts";
import { StrikeLedger } from "../../../server/engine/strike-ledger.ts";
import { Suspicion } from "../../../server/engine/suspicion.ts";

const RESTART_MS = 400;
const FIRST_FRAME_MS = 200;

interface Fate {
  id: string;
  /** After so long in an engine it crashes it; undefined: never. */
  crashesAfterMs?: number;
}

/**
 * An engine and its sessions on a clock of their own, a millisecond at a time being needless: each
 * step is the next thing that happens.
 */
class World {
  nowMs = 0;
  crashes = 0;
  readonly convicted: string[] = [];
  readonly suspicion: Suspicion;
  readonly #fates: Fate[];
  readonly #traceOf: (culprit: string, present: string[]) => EngineTrace;
  readonly #openedMs = new Map<string, number>();
  readonly #outMs = new Map<string, number>();
  /** Longest time that a session was out after a crash until it was in again, without another crash. */
  readonly longestOutMs = new Map<string, number>();

  constructor(fates: Fate[], traceOf: (culprit: string, present: string[]) => EngineTrace) {
    this.#fates = fates;
    this.#traceOf = traceOf;
    this.suspicion = new Suspicion(new StrikeLedger());
    for (const { id } of fates) {
      this.suspicion.opening(id, id);
      this.#opened(id);
    }
  }

  /** @returns the sessions that run when nothing has happened for `quietMs` */
  run(quietMs: number, maxCrashes = 200): string[] {
    let quietSinceMs = this.nowMs;
    while (this.nowMs - quietSinceMs < quietMs && this.crashes < maxCrashes) {
      this.nowMs += 50;
      for (const [id, openedMs] of this.#openedMs) {
        if (this.nowMs - openedMs >= FIRST_FRAME_MS) {
          this.suspicion.framed(id, this.nowMs);
        }
      }
      const culprit = this.#fates.find(({ id, crashesAfterMs }) => {
        const openedMs = this.#openedMs.get(id);
        return (
          openedMs !== undefined &&
          crashesAfterMs !== undefined &&
          this.nowMs - openedMs >= crashesAfterMs
        );
      });
      if (culprit !== undefined) {
        this.#crash(culprit.id);
        quietSinceMs = this.nowMs;
      }
      for (const id of this.suspicion.next(this.nowMs).open) {
        this.#opened(id);
      }
    }
    return [...this.#openedMs.keys()].sort();
  }

  #crash(culprit: string): void {
    this.crashes += 1;
    const present = [...this.#openedMs.keys()];
    const convicted = this.suspicion.crashed(this.nowMs, this.#traceOf(culprit, present));
    this.#openedMs.clear();
    for (const { id } of this.#fates) {
      if (!this.convicted.includes(id)) {
        this.#outMs.set(id, this.nowMs);
      }
    }
    if (convicted !== null) {
      this.convicted.push(convicted);
      this.suspicion.forget(convicted);
      this.#outMs.delete(convicted);
    }
    this.nowMs += RESTART_MS;
  }

  #opened(id: string): void {
    this.#openedMs.set(id, this.nowMs);
    this.suspicion.opened(id, this.nowMs);
    const out = this.nowMs - (this.#outMs.get(id) ?? this.nowMs);
    this.longestOutMs.set(id, Math.max(out, this.longestOutMs.get(id) ?? 0));
  }
}

/** A trace that names the culprit, as the black box mostly does. */
const right = (culprit: string, present: string[]): EngineTrace => ({
  inCall: null,
  recent: [culprit, ...present.filter((id) => id !== culprit)],
});
const none = (): EngineTrace => NO_TRACE;

describe("Suspicion", () => {
  it("takes a stream out that crashes the engine at once, and keeps others out for 2 s at most", () => {
    const world = new World(
      [{ id: "ann" }, { id: "poison", crashesAfterMs: 100 }, { id: "bob" }],
      right,
    );
    expect(world.run(20_000)).to.deep.equal(["ann", "bob"]);
    expect(world.convicted).to.deep.equal(["poison"]);
    // In the first one all were new: it took halves, and then it alone, twice.
    expect(world.crashes).to.equal(3);
    expect(Math.max(...world.longestOutMs.values())).to.be.at.most(2000);
  });

  it("finds it by trying halves when there is no trace", () => {
    const others = Array.from({ length: 7 }, (_, index) => ({ id: `healthy ${index}` }));
    const world = new World([...others, { id: "poison", crashesAfterMs: 100 }], none);
    expect(world.run(20_000)).to.have.length(7);
    expect(world.convicted).to.include("poison");
  });

  it("finds one that needs a while, by the trace", () => {
    const world = new World(
      [{ id: "ann" }, { id: "slow", crashesAfterMs: 30_000 }, { id: "bob" }],
      right,
    );
    expect(world.run(100_000)).to.deep.equal(["ann", "bob"]);
    expect(world.crashes).to.equal(2);
  });

  it("holds nobody back and blames nobody when the engine was killed from outside", () => {
    const suspicion = new Suspicion(new StrikeLedger());
    for (let kill = 0; kill < 10; kill += 1) {
      for (const id of ["ann", "bob"]) {
        suspicion.opening(id, id);
        suspicion.opened(id, kill * 10_000);
      }
      expect(suspicion.crashed(kill * 10_000 + 5000, null)).to.equal(null);
      expect(suspicion.next(kill * 10_000 + 5400).open).to.have.members(["ann", "bob"]);
    }
  });

  it("blames nobody for a crash with nobody in the engine", () => {
    const suspicion = new Suspicion(new StrikeLedger());
    suspicion.join("ann", "ann");
    expect(suspicion.crashed(0, NO_TRACE)).to.equal(null);
    expect(suspicion.crashed(1, NO_TRACE)).to.equal(null);
    expect(suspicion.next(2).open).to.deep.equal(["ann"]);
  });

  it("does not make others wait for one whose opening is put off", () => {
    const suspicion = new Suspicion(new StrikeLedger());
    suspicion.join("ann", "ann");
    suspicion.join("bob", "bob");
    expect(suspicion.next(0).open).to.deep.equal(["ann"]);
    expect(suspicion.next(10_000)).to.deep.equal({ open: [], againAtMs: null });
    suspicion.deferred("ann");
    expect(suspicion.next(10_000).open).to.deep.equal(["bob"]);
  });

  it("remembers an owner who comes with another session", () => {
    const suspicion = new Suspicion(new StrikeLedger());
    const crash = (id: string, nowMs: number) => {
      suspicion.opening(id, "ann");
      suspicion.opened(id, nowMs);
      const convicted = suspicion.crashed(nowMs + 10, NO_TRACE);
      suspicion.forget(id);
      return convicted;
    };
    expect(crash("first", 0)).to.equal(null);
    expect(crash("second", 1000)).to.equal("second");
    expect(crash("after ten minutes", 1_000_000)).to.equal(null);
  });

  it("gets all poisons out, whoever they are, and ends with everybody else at work", () => {
    const fates = fc
      .array(fc.option(fc.integer({ min: 50, max: 400 }), { nil: undefined, freq: 3 }), {
        minLength: 1,
        maxLength: 8,
      })
      .map((delays) =>
        delays.map((crashesAfterMs, index) => ({
          id: `session ${index}`,
          ...(crashesAfterMs === undefined ? {} : { crashesAfterMs }),
        })),
      );
    fc.assert(
      fc.property(fates, fc.boolean(), (given, traced) => {
        const world = new World(given, traced ? right : none);
        const running = world.run(15_000);
        const poisons = given.filter((fate) => "crashesAfterMs" in fate).map(({ id }) => id);
        expect(world.convicted).to.include.members(poisons);
        const innocent = given.length - poisons.length;
        if (traced) {
          expect(world.convicted).to.have.members(poisons);
          expect(running).to.have.length(innocent);
          // Everybody but those on trial waits for no more than a restart and two settlings.
          expect(world.crashes).to.be.at.most(4 * poisons.length + 1);
        }
      }),
      { numRuns: 300, seed: 7 },
    );
  });
});

describe("StrikeLedger", () => {
  it("forgets with age, and who was heard of longest ago when there are too many", () => {
    const ledger = new StrikeLedger({ memoryMs: 100, maxOwners: 2 });
    expect(ledger.add("ann", 0)).to.equal(1);
    expect(ledger.add("ann", 50)).to.equal(2);
    expect(ledger.count("ann", 120)).to.equal(1);
    ledger.add("bob", 120);
    ledger.add("cid", 121);
    expect([ledger.count("ann", 122), ledger.count("bob", 122)]).to.deep.equal([0, 1]);
  });
});
