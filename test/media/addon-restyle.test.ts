/** The native addon with the default model: real generated frames for two sessions at once. */
import path from "node:path";
import { expect } from "chai";
import {
  loadNativeEngine,
  type NativeEngine,
  type NativeTransform,
} from "../../server/engine/process/native.ts";
import { until } from "../support/wait.ts";
import { decodeFrames, makeClip, meanDifference } from "./clips.ts";
import { defaultModel, open, play } from "./support/native-session.ts";

const restyle: NativeTransform = {
  mode: "restyle",
  prompt: "oil painting",
  strength: 1,
  steps: 1,
  seed: 7,
};

describe("native addon, default model", function () {
  this.timeout(240_000);
  let engine: NativeEngine;

  before(() => {
    engine = loadNativeEngine(defaultModel);
  });
  after(() => engine.close());

  it("repaints two sessions at once and says from which frame on new settings show", async () => {
    const { framesPerChunk } = engine.info();
    const clip = makeClip("vp8", 320, 240, 25, 25, 25);
    const sessions = [
      open(engine, { id: "a", transform: restyle }),
      open(engine, {
        id: "b",
        transform: { ...restyle, mode: "passthrough" },
        outputCodec: "h264",
      }),
    ];
    const [a, b] = sessions;
    if (!a || !b) throw new Error("no sessions");
    let startMs = 1_700_000_000_000;
    /** A second of camera for both, again and again until the condition holds. */
    const playUntil = async (what: string, condition: () => boolean) => {
      const end = performance.now() + 100_000;
      while (!condition()) {
        if (performance.now() > end) throw new Error(`Expected ${what} within 100 s`);
        await Promise.all(sessions.map(({ session }) => play(session, clip, startMs, 40)));
        startMs += 1000;
      }
    };
    await playUntil("two chunks of each", () =>
      sessions.every(({ frames }) => frames.length >= 2 * framesPerChunk),
    );
    const beforeChange = startMs;
    expect(a.session.setTransform({ ...restyle, prompt: "pencil sketch" })).to.equal(1);
    const applied = () =>
      a.events.find((event) => event.type === "applied" && event.revision === 1);
    await playUntil("the new settings", () => applied() !== undefined);
    await until("the frame that shows them", () =>
      a.frames.some((frame) => frame.captureTimeMs >= beforeChange),
    );
    for (const { session } of sessions) await session.close();

    const event = applied();
    if (event?.type !== "applied") throw new Error("not applied");
    const shown = a.frames.findIndex((frame) => frame.captureTimeMs === event.captureTimeMs);
    expect(shown).to.be.greaterThan(0);
    expect(a.events.filter((each) => each.type === "error")).to.deep.equal([]);
    for (const frame of a.frames) {
      expect(frame.timing.computeMs).to.be.greaterThan(0);
      expect([frame.width, frame.height]).to.deep.equal([320, 240]);
    }

    const repainted = decodeFrames(
      "vp8",
      a.frames.map((frame) => frame.data),
      320,
      240,
    );
    const plain = decodeFrames(
      "h264",
      b.frames.map((frame) => frame.data),
      320,
      240,
    );
    expect(repainted.length).to.equal(a.frames.length);
    expect(plain.length).to.equal(b.frames.length);
    // Frames of one capture time: the repainted picture is clearly not the camera's.
    const differences = a.frames.flatMap((frame, index) => {
      const other = b.frames.findIndex((each) => each.captureTimeMs === frame.captureTimeMs);
      const [left, right] = [repainted[index], plain[other]];
      return left && right ? [meanDifference(left, right)] : [];
    });
    expect(differences.length).to.be.greaterThan(0);
    expect(Math.min(...differences)).to.be.greaterThan(6);
  });

  it("refuses the session that its memory has no room for, and keeps the others", async () => {
    const { memory } = engine.info();
    const memoryLimitMb = Math.ceil((memory.modelBytes + memory.sessionBytes) / 2 ** 20);
    const limited = loadNativeEngine({ ...defaultModel, memoryLimitMb });
    expect(limited.info().memory.limitBytes).to.equal(memoryLimitMb * 2 ** 20);
    const first = open(limited, { id: "a", transform: restyle });
    expect(() => open(limited, { id: "b", transform: restyle })).to.throw(
      Error,
      /memory of a session.*free of the limit.*rings/,
    );
    await first.session.close();
    await open(limited, { id: "c", transform: restyle }).session.close();
    await limited.close();
    expect(() => loadNativeEngine({ ...defaultModel, memoryLimitMb: 1 })).to.throw(Error, "memory");
  });

  it("refuses a model folder without a usable model and says why", () => {
    const load = (modelDir: string) => () => loadNativeEngine({ ...defaultModel, modelDir });
    expect(load(path.resolve(import.meta.dirname))).to.throw(Error, "model.json");
  });
});
