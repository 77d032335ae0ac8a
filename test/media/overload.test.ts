/**
 * More sessions than the machine can serve in time, with real codecs, threads and model. They lose
 * what the ladder says, keep moving, and get it back when the others leave.
 */
import { expect } from "chai";
import {
  loadNativeEngine,
  type NativeEngine,
  type NativeEvent,
  type NativeTransform,
} from "../../server/engine/process/native.ts";
import { until } from "../support/wait.ts";
import { makeClip } from "./clips.ts";
import { defaultModel, type Opened, open, play } from "./support/native-session.ts";

const transform: NativeTransform = {
  mode: "restyle",
  prompt: "oil painting",
  strength: 1,
  steps: 4,
  seed: 7,
};
const PATIENCE_MS = 100_000;

type Level = Extract<NativeEvent, { type: "level" }>;

function levels({ events }: Opened): Level[] {
  return events.filter((event): event is Level => event.type === "level");
}

describe("an engine with more sessions than it can serve in time", function () {
  this.timeout(360_000);
  let engine: NativeEngine;
  const clip = makeClip("vp8", 320, 240, 25, 25, 25);

  before(() => {
    engine = loadNativeEngine({ ...defaultModel, maxSessions: 3 });
  });
  const cameras: (() => Promise<void>)[] = [];
  // After a failure some still run, and would for ever.
  after(async () => {
    await Promise.all(cameras.map((stop) => stop()));
    await engine.close();
  });

  /** A session with a camera that runs until stop(). */
  function film(id: string, delayBudgetMs: number) {
    const opened = open(engine, { id, transform, delayBudgetMs });
    let filming = true;
    const camera = (async () => {
      for (let ms = 1_700_000_000_000; filming; ms += 1000) {
        await play(opened.session, clip, ms, 40);
      }
    })();
    const stop = async () => {
      if (!filming) {
        return;
      }
      filming = false;
      await camera;
      await opened.session.close();
    };
    cameras.push(stop);
    return { ...opened, stop };
  }

  it("takes from them in order, keeps all moving, and gives back when there is room", async () => {
    // How long one session's chunk takes on this machine, alone.
    const alone = film("alone", 1000);
    const takenMs = new Set<number>();
    await until(
      "chunks",
      () => takenMs.add(alone.session.stats().lastComputeMs).size > 15,
      PATIENCE_MS,
    );
    // Of the quicker ones: a budget from a slow moment would leave room for everybody later.
    const chunkMs = [...takenMs].sort((a, b) => a - b)[3] ?? 0;
    await alone.stop();

    // The cameras are in step: two chunks are made in time, the third has to wait too long.
    const sessions = ["a", "b", "c"].map((id) => film(id, Math.max(20, 2.2 * chunkMs)));
    const [stays, ...others] = sessions;
    if (stays === undefined) throw new Error("no session");
    await until(
      "everybody to lose steps",
      () => sessions.every((each) => levels(each).some(({ steps }) => steps < transform.steps)),
      PATIENCE_MS,
    );
    for (const each of sessions) {
      expect(levels(each)[0]).to.include({ direction: "down", level: "fewerSteps", steps: 2 });
      const { framesOut } = each.session.stats();
      await until("more frames", () => each.session.stats().framesOut > framesOut, PATIENCE_MS);
    }

    // Whoever is first in every turn loses steps for the others without being late.
    const missed = sessions.map(({ session }) => {
      const { waited, slow, replaced } = session.stats().deadlines;
      return waited + slow + replaced;
    });
    expect(Math.max(...missed)).to.be.greaterThan(0);

    await Promise.all(others.map((each) => each.stop()));
    const risen = await until(
      "a level higher",
      () => levels(stays).find(({ direction }) => direction === "up"),
      PATIENCE_MS,
    );
    expect(risen.cause).to.equal("headroom");
    const { timings, drops } = stays.session.stats();
    expect(timings.expected.meanMs).to.be.greaterThan(0);
    expect(drops.fallback).to.equal(0);
    await stays.stop();
  });
});
