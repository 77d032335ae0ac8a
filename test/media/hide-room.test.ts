/**
 * "Hide my room" in a restyle: the person is cut out before the model sees anything. The room is a
 * watermark here, and no picture shows it: at any strength, by any look, with nobody there, and from
 * the moment at which hiding was asked for.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import {
  type EncodedFrame,
  loadNativeEngine,
  type NativeEngine,
  type NativeTransform,
} from "../../server/engine/process/native.ts";
import { until } from "../support/wait.ts";
import { decodeFrames } from "./clips.ts";
import { defaultModel, type Opened, open, play } from "./support/native-session.ts";
import {
  CAMERA_HEIGHT,
  CAMERA_WIDTH,
  type WatermarkedClip,
  watermarkedClip,
  watermarkSeen,
} from "./support/watermarked-room.ts";

const START_MS = 1_700_000_000_000;
const INTERVAL_MS = 1000 / 30;
/** The camera's squares differ by 500 of 510, a plain restyle's by some 190. */
const SEEN = 100;
const UNSEEN = 3;

const plain: NativeTransform = {
  mode: "restyle",
  prompt: "natural photo",
  strength: 0,
  steps: 1,
  seed: 3,
};
const hidden: NativeTransform = { ...plain, hideRoom: true };
const background: NativeTransform = { ...plain, mode: "background", prompt: "", color: "#204060" };

/** The frames as runs of one size, each of which begins with a key frame. */
function decodeAll(frames: EncodedFrame[]) {
  const pictures: { frame: EncodedFrame; rgb: Buffer }[] = [];
  for (let at = 0; at < frames.length; ) {
    const { width = 0, height = 0, keyFrame } = frames[at] ?? {};
    if (!keyFrame) throw new Error(`expected a key frame first, but frame ${at} is none`);
    let end = at + 1;
    while (end < frames.length && frames[end]?.width === width) end += 1;
    const run = frames.slice(at, end);
    const decoded = decodeFrames(
      "vp8",
      run.map(({ data }) => data),
      width,
      height,
    );
    expect(decoded.length).to.equal(run.length);
    for (const [index, frame] of run.entries()) {
      pictures.push({ frame, rgb: decoded[index] ?? Buffer.alloc(0) });
    }
    at = end;
  }
  return pictures;
}

/** What each picture shows of the room: see watermarkSeen(). */
function rooms(frames: EncodedFrame[], clip: WatermarkedClip): number[] {
  return decodeAll(frames).map(({ frame, rgb }) => {
    const index = Math.round((frame.captureTimeMs - START_MS) / INTERVAL_MS);
    const person = clip.person[index % clip.person.length];
    if (!person) throw new Error(`no frame ${index} in the clip`);
    const seen = watermarkSeen(rgb, frame.width, frame.height, person);
    expect(seen.share).to.be.greaterThan(0.3);
    return seen.mean;
  });
}

describe("native addon, hidden room", function () {
  this.timeout(180_000);
  let engine: NativeEngine;
  let somebody: WatermarkedClip;
  let nobody: WatermarkedClip;

  before(() => {
    engine = loadNativeEngine(defaultModel);
    somebody = watermarkedClip(2, 60);
    nobody = watermarkedClip(null, 45);
  });
  after(() => engine.close());

  function applied({ events }: Opened, revision: number) {
    return events.find((event) => event.type === "applied" && event.revision === revision);
  }

  async function show(clip: WatermarkedClip, transform: NativeTransform) {
    const opened = open(engine, { transform, bitrateBps: 2_000_000 });
    await play(opened.session, clip.frames, START_MS, INTERVAL_MS);
    await until("frames", () => opened.frames.length >= 4);
    await sleep(300);
    await opened.session.close();
    expect(opened.events.filter(({ type }) => type === "error")).to.deep.equal([]);
    return rooms(opened.frames, clip);
  }

  it("is plainly seen where nobody hides it", async () => {
    expect(Math.min(...(await show(somebody, plain)))).to.be.greaterThan(SEEN);
  });

  const looks: [string, NativeTransform][] = [
    ["at strength 0", hidden],
    ["by a light look", { ...hidden, strength: 0.3 }],
    ["as a natural photo", { ...hidden, strength: 1 }],
    ["by a strong look", { ...hidden, strength: 1, prompt: "watercolour painting on paper" }],
    ["before a scene", { ...hidden, strength: 0.3, scene: "library" }],
    ["blurred", { ...hidden, blur: true }],
    ["with several steps", { ...hidden, strength: 0.3, steps: 2 }],
  ];
  for (const [name, transform] of looks) {
    it(`is not seen ${name}`, async () => {
      expect(Math.max(...(await show(somebody, transform)))).to.be.lessThan(UNSEEN);
    });
  }

  it("is not seen when nobody is there", async () => {
    for (const transform of [hidden, { ...hidden, blur: true }]) {
      expect(Math.max(...(await show(nobody, transform)))).to.be.lessThan(UNSEEN);
    }
  });

  it("has the colour that was asked for in its place", async () => {
    const opened = open(engine, { transform: { ...background, color: "#c03020" } });
    await play(opened.session, nobody.frames.slice(0, 15), START_MS, INTERVAL_MS);
    await until("frames", () => opened.frames.length >= 4);
    await opened.session.close();
    const last = decodeAll(opened.frames).at(-1)?.rgb ?? Buffer.alloc(0);
    const middle = 3 * ((CAMERA_HEIGHT / 2) * CAMERA_WIDTH + CAMERA_WIDTH / 2);
    for (const [channel, value] of [0xc0, 0x30, 0x20].entries()) {
      expect(last[middle + channel]).to.be.closeTo(value, 8);
    }
  });

  it("leaves with the call that hides it, whatever is under way", async () => {
    const opened = open(engine, { transform: plain, bitrateBps: 2_000_000 });
    const { session, frames } = opened;
    const { frames: clip } = somebody;
    let pushed = 0;
    const film = async (count: number) => {
      // Whole turns of the clip, so that capture times tell the frame.
      const part = Array.from(
        { length: count },
        (_, i) => clip[(pushed + i) % clip.length] ?? clip[0],
      );
      const startMs = START_MS + pushed * INTERVAL_MS;
      pushed += count;
      await play(session, part as Buffer[], startMs, INTERVAL_MS);
    };
    /** Frames by whether the room was hidden when they were handed over. */
    const spans: { hides: boolean; frames: EncodedFrame[] }[] = [];
    let begin = 0;
    let hides = false;
    const change = (transform: NativeTransform) => {
      spans.push({ hides, frames: frames.slice(begin) });
      const revision = session.setTransform(transform);
      begin = frames.length;
      hides = transform.mode === "background" || transform.hideRoom === true;
      return revision;
    };
    // Decoders begin a clip with a key frame: each turn does.
    await film(60);
    for (const [turn, to] of [hidden, background, hidden].entries()) {
      const revision = change(to);
      await film(31 + turn);
      await until("the hidden room", () => applied(opened, revision));
      // Back and forth with chunks at every stage.
      change(plain);
      await film(25 + 3 * turn);
      change(to);
      change(plain);
      change(to);
      await film(20);
      change(plain);
      await film(20);
    }
    await until("the last change", () => applied(opened, session.setTransform(plain) - 1));
    await session.close();
    spans.push({ hides, frames: frames.slice(begin) });
    let open_ = 0;
    let closed = 0;
    for (const span of spans) {
      // A span may begin with frames that build on those of the one before.
      const first = span.frames.findIndex(({ keyFrame }) => keyFrame);
      if (first < 0) continue;
      const seen = rooms(span.frames.slice(first), somebody);
      if (!span.hides) {
        open_ += seen.filter((room) => room > SEEN).length;
        continue;
      }
      expect(first, "frames that build on ones with the room").to.equal(0);
      closed += seen.length;
      expect(Math.max(...seen)).to.be.lessThan(UNSEEN);
    }
    expect(open_).to.be.greaterThan(10);
    expect(closed).to.be.greaterThan(10);
  });

  it("is refused without the networks, in words", () => {
    const bare = loadNativeEngine({ ...defaultModel, segmenterDir: "" });
    expect(() => open(bare, { transform: hidden })).to.throw("segmentation");
    const { session } = open(bare, { transform: plain });
    expect(() => session.setTransform(hidden)).to.throw("segmentation");
    expect(() => session.setTransform({ ...plain, color: "blue" })).to.throw("#5b6b7b");
    expect(() => session.setTransform({ ...hidden, mode: "passthrough" })).to.throw("hideRoom");
    return bare.close();
  });
});
