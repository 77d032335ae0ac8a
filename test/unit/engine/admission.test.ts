import { expect } from "chai";
import { type AdmissionFigures, placesOf } from "../../../server/engine/admission.ts";
import { ComputeWatch } from "../../../server/engine/compute-watch.ts";
import type { SessionProgress } from "../../../server/engine/protocol.ts";

const GIB = 2 ** 30;
const compute = {
  sessions: 1,
  batchMs: 100,
  aloneMs: null as number | null,
  delayBudgetMs: 250,
  lateShare: 0,
};
const memory = { limitBytes: 10 * GIB, modelBytes: 4 * GIB, sessionBytes: 2 * GIB };

describe("placesOf", () => {
  const cases: [string, Partial<AdmissionFigures>, number, string][] = [
    ["the configured number where nothing else is known", {}, 8, "maxSessions"],
    ["no limit of memory", { memory: { ...memory, limitBytes: 0 } }, 8, "maxSessions"],
    ["what the memory holds beside the model", { memory }, 3, "memory"],
    ["not even the model fits", { memory: { ...memory, limitBytes: GIB } }, 0, "memory"],
    ["two batches of 100 ms in 250 ms", { used: 1, compute }, 2, "compute"],
    ["one more would be late", { used: 1, compute: { ...compute, batchMs: 130 } }, 1, "compute"],
    ["late already", { used: 1, compute: { ...compute, batchMs: 400 } }, 1, "compute"],
    ["fast enough", { used: 1, compute: { ...compute, batchMs: 10 } }, 8, "maxSessions"],
    [
      "company that costs little: 10 ms each",
      { used: 3, compute: { ...compute, sessions: 3, batchMs: 200, aloneMs: 180 } },
      8,
      "maxSessions",
    ],
    [
      "company that costs 60 ms each",
      { used: 2, compute: { ...compute, sessions: 2, batchMs: 160, aloneMs: 100 } },
      3,
      "compute",
    ],
    [
      "company that costs nothing, within the budget",
      { used: 2, compute: { ...compute, sessions: 2, batchMs: 100, aloneMs: 100 } },
      8,
      "maxSessions",
    ],
    [
      "sessions that take turns and are late",
      { used: 2, compute: { ...compute, sessions: 2, aloneMs: 100, lateShare: 0.5 } },
      2,
      "compute",
    ],
    ["who is in is not thrown out", { used: 5, memory }, 5, "memory"],
  ];
  for (const [what, figures, total, limit] of cases) {
    it(`${what}: ${total} by ${limit}`, () => {
      const all = { maxSessions: 8, memory: null, used: 0, compute: null, ...figures };
      expect(placesOf(all)).to.deep.equal({ total, limit });
    });
  }
});

describe("ComputeWatch", () => {
  const report = (sessionId: string, measured: number, inTime = 0, waited = 0) =>
    ({
      sessionId,
      batchMs: { measured, expected: measured },
      deadlines: { inTime, waited, slow: 0, replaced: 0 },
    }) as SessionProgress;

  it("says nothing before five seconds of reports, and takes the quickest of them", () => {
    const watch = new ComputeWatch();
    watch.add("a", 250);
    for (let second = 0; second < 9; second += 1) {
      watch.report(report("a", second === 4 ? 80 : 300));
    }
    expect(watch.figures).to.equal(null);
    watch.report(report("a", 300));
    expect(watch.figures).to.deep.include({ sessions: 1, batchMs: 80, aloneMs: 80 });
  });

  it("starts over when sessions come or go, and keeps what one alone took", () => {
    const watch = new ComputeWatch();
    watch.add("a", 250);
    for (let n = 0; n < 10; n += 1) watch.report(report("a", 100));
    watch.add("b", 200);
    expect(watch.figures).to.equal(null);
    for (let n = 0; n < 10; n += 1) {
      watch.report(report("a", 150, n * 2, n * 2));
      watch.report(report("b", 140, n * 4));
    }
    expect(watch.figures).to.deep.equal({
      sessions: 2,
      batchMs: 150,
      aloneMs: 100,
      delayBudgetMs: 200,
      lateShare: 0.5,
    });
    watch.remove("b");
    expect(watch.figures).to.equal(null);
  });

  it("leaves sessions out whose frames only pass through", () => {
    const watch = new ComputeWatch();
    watch.add("a", 250);
    for (let n = 0; n < 20; n += 1) watch.report(report("a", 0));
    expect(watch.figures).to.equal(null);
  });
});
