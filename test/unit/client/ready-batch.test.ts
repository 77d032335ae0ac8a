import { expect } from "chai";
import { ReadyBatch } from "../../../client/src/signaling/ready-batch.ts";

/** A batch with a clock that the test moves. */
function batch(answer: (ids: string[]) => Promise<unknown>) {
  const timers: { delayMs: number; run(): void }[] = [];
  const sent: string[][] = [];
  const failures: number[] = [];
  const ready = new ReadyBatch({
    send: (ids) => {
      sent.push(ids);
      return answer(ids);
    },
    failed: (_error, count) => failures.push(count),
    after: (delayMs, run) => {
      const timer = { delayMs, run };
      timers.push(timer);
      return () => timers.splice(timers.indexOf(timer), 1);
    },
  });
  const tick = async (): Promise<number> => {
    const timer = timers.shift();
    if (timer === undefined) return -1;
    timer.run();
    await new Promise((resolve) => setImmediate(resolve));
    return timer.delayMs;
  };
  return { ready, sent, failures, tick };
}

describe("acknowledgements of received tracks", () => {
  it("of one burst go in one message", async () => {
    const { ready, sent, tick } = batch(() => Promise.resolve());
    for (let i = 0; i < 98; i += 1) ready.add(String(i));
    expect(await tick()).to.equal(10);
    expect(sent).to.have.length(1);
    expect(sent[0]).to.have.length(98);
    expect(await tick()).to.equal(-1);
  });

  it("are sent again when they are refused, later each time, with what came in between", async () => {
    let refusals = 2;
    const { ready, sent, failures, tick } = batch(() =>
      refusals-- > 0 ? Promise.reject(new Error("RATE_LIMITED")) : Promise.resolve(),
    );
    ready.add("a");
    await tick();
    ready.add("b");
    expect([await tick(), await tick()]).to.deep.equal([500, 1_000]);
    expect(sent.at(-1)).to.have.members(["a", "b"]);
    expect(failures).to.deep.equal([]);
  });

  it("are reported in the end, counted, and do not loop for ever", async () => {
    const { ready, sent, failures, tick } = batch(() => Promise.reject(new Error("no")));
    ready.add("a");
    while ((await tick()) !== -1);
    expect(failures).to.deep.equal([1]);
    expect(sent.length).to.be.within(2, 10);
  });

  it("are not sent for tracks that are gone, nor after the end", async () => {
    const { ready, sent, tick } = batch(() => Promise.resolve());
    ready.add("a");
    ready.forget("a");
    await tick();
    ready.add("b");
    ready.close();
    await tick();
    expect(sent).to.deep.equal([]);
  });
});
