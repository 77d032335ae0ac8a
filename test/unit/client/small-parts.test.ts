import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { isViewOnly } from "../../../client/src/grants-hint.ts";
import { cameraEncodings, fittingLayers } from "../../../client/src/media/encodings.ts";
import { alreadyAllowed } from "../../../client/src/media/permissions.ts";
import { Playback } from "../../../client/src/media/playback.ts";
import type { TileView } from "../../../client/src/protocol.ts";
import { draftOf, settingsOf } from "../../../client/src/room/draft.ts";
import { SpeakerWatch } from "../../../client/src/room/speaker.ts";
import { ViewReport, viewChanged } from "../../../client/src/room/view-report.ts";
import { createAppState } from "../../../client/src/state.ts";

describe("the encodings of a camera", () => {
  const size = { width: 640, height: 360 };

  const layersOf = (mimeType: string, each: typeof size) =>
    cameraEncodings(mimeType, each, 10_000_000).map(
      ({ scaleResolutionDownBy, maxBitrate }) => [scaleResolutionDownBy, maxBitrate] as const,
    );

  it("are as many sizes for VP8 and H.264 as browsers send of the picture, also of an upright phone", () => {
    for (const mimeType of ["video/VP8", "video/H264"]) {
      for (const each of [size, { width: 360, height: 640 }]) {
        expect(layersOf(mimeType, each)).to.deep.equal([
          [2, 250_000],
          [1, 1_200_000],
        ]);
      }
      for (const each of [
        { width: 1280, height: 720 },
        { width: 720, height: 1280 },
      ]) {
        expect(layersOf(mimeType, each)).to.deep.equal([
          [8, 150_000],
          [4, 400_000],
          [2, 1_200_000],
        ]);
      }
    }
  });

  it("are one for a small picture, and one scalable stream for VP9 and AV1", () => {
    expect(layersOf("video/VP8", { width: 320, height: 240 })).to.deep.equal([[1, 1_200_000]]);
    expect(layersOf("video/VP8", { width: 0, height: 0 })).to.deep.equal([[1, 1_200_000]]);
    expect(cameraEncodings("video/VP9", size, 10e6)[0]?.scalabilityMode).to.equal("L3T3_KEY");
    expect(cameraEncodings("video/AV1", { width: 320, height: 180 }, 10e6)).to.deep.equal([
      {
        maxBitrate: 1_200_000,
        maxFramerate: 30,
        scalabilityMode: "L1T3",
        scaleResolutionDownBy: 1,
      },
    ]);
  });

  it("bring a camera that gives more than is wanted down to it, and never leave the full size out", () => {
    const scales = (encodings: number, width: number, height: number) =>
      fittingLayers(encodings, { width, height }, 10e6).map(({ active, scaleResolutionDownBy }) =>
        active ? scaleResolutionDownBy : "off",
      );
    expect(scales(3, 720, 1280)).to.deep.equal([8, 4, 2]);
    expect(scales(1, 1920, 1080)).to.deep.equal([3]);
    // The next camera is smaller than the one that the layers were made for.
    expect(scales(3, 640, 480)).to.deep.equal([2, 1, "off"]);
    expect(scales(3, 320, 180)).to.deep.equal([1, "off", "off"]);
    expect(scales(2, 1280, 720)).to.deep.equal([4, 2]);
  });

  it("stay together below what the server takes of one sender", () => {
    const layers = cameraEncodings("video/VP8", size, 1_000_000);
    const total = layers.reduce((sum, { maxBitrate = 0 }) => sum + maxBitrate, 0);
    expect(total).to.be.within(800_000, 900_001);
  });
});

describe("a token's grants", () => {
  const token = (payload: unknown): string =>
    `h.${Buffer.from(JSON.stringify(payload)).toString("base64url")}.s`;

  it("tell who may only watch, and nothing where they cannot be read", () => {
    expect(isViewOnly(token({ grants: { view: true } }))).to.equal(true);
    expect(isViewOnly(token({ grants: { view: true, publish: false }, x: "ü?>" }))).to.equal(true);
    expect(isViewOnly(token({ grants: { publish: true } }))).to.equal(false);
    for (const odd of [null, "", "a.b.c", token(null), token({}), token({ grants: "all" })]) {
      expect(isViewOnly(odd), String(odd)).to.equal(false);
    }
  });
});

describe("the browser's permissions", () => {
  const answering = (state: string) => ({
    query: async () => ({ state }) as PermissionStatus,
  });

  it("count as given only where the browser says so of both devices", async () => {
    expect(await alreadyAllowed(answering("granted"))).to.equal(true);
    expect(await alreadyAllowed(answering("prompt"))).to.equal(false);
    expect(await alreadyAllowed(undefined)).to.equal(false);
    const unknownName = { query: () => Promise.reject(new TypeError("camera")) };
    expect(await alreadyAllowed(unknownName)).to.equal(false);
  });
});

describe("media that the browser refuses to play", () => {
  it("starts all together at the next gesture", async () => {
    let allowed = false;
    let gesture = (): void => undefined;
    const said: boolean[] = [];
    const playback = new Playback({
      blocked: (blocked) => said.push(blocked),
      onGesture: (listener) => {
        gesture = listener;
      },
    });
    const played: string[] = [];
    const element = (name: string) => ({
      play: async () => {
        if (!allowed) throw Object.assign(new Error("no"), { name: "NotAllowedError" });
        played.push(name);
      },
    });
    await Promise.all([playback.start(element("video")), playback.start(element("audio"))]);
    const left = element("left");
    await playback.start(left);
    playback.forget(left);
    expect(said).to.deep.equal([true]);
    allowed = true;
    gesture();
    await sleep(1);
    expect(played).to.deep.equal(["video", "audio"]);
    expect(said).to.deep.equal([true, false]);
    gesture();
    await sleep(1);
    expect(played, "nothing is started twice").to.have.length(2);
  });

  it("is no matter where only a newer track took the element over", async () => {
    const said: boolean[] = [];
    const playback = new Playback({ blocked: (each) => said.push(each), onGesture: () => {} });
    const play = () => Promise.reject(Object.assign(new Error("new load"), { name: "AbortError" }));
    await playback.start({ play });
    expect(said).to.deep.equal([]);
  });
});

describe("what is seen of the tiles", () => {
  const tile = (change: Partial<TileView> = {}): TileView => ({
    participantId: "a",
    visible: true,
    width: 400,
    height: 225,
    ...change,
  });

  it("is news from a tenth of the size on", () => {
    expect(viewChanged([tile()], [tile({ width: 430 })])).to.equal(false);
    expect(viewChanged([tile()], [tile({ width: 460 })])).to.equal(true);
    expect(viewChanged([tile()], [tile({ visible: false })])).to.equal(true);
    expect(viewChanged([tile()], [])).to.equal(true);
    const hidden = tile({ visible: false });
    expect(viewChanged([hidden], [{ ...hidden, width: 900 }])).to.equal(false);
  });

  it("is told once for a burst, again after a new join, and again when it was refused", async () => {
    const sent: TileView[][] = [];
    let refuse = true;
    const report = new ViewReport(async (tiles) => {
      sent.push(tiles);
      if (refuse) throw new Error("away");
    });
    for (let width = 100; width < 400; width += 10) report.set([tile({ width })]);
    await sleep(250);
    expect(sent).to.have.length(1);
    expect(sent[0]?.[0]?.width).to.equal(390);
    refuse = false;
    await sleep(1_100);
    expect(sent).to.have.length(2);
    report.set([tile({ width: 395 })]);
    await sleep(200);
    expect(sent).to.have.length(2);
    report.repeat();
    await sleep(200);
    expect(sent).to.have.length(3);
    report.close();
  });
});

describe("who speaks", () => {
  it("is the first voice, then who is loudest for a while, and stays in silence", () => {
    const watch = new SpeakerWatch();
    const levels = (ada: number, ben: number) => new Map(Object.entries({ ada, ben }));
    expect(watch.next(levels(0, 0), 0)).to.equal(null);
    expect(watch.next(levels(0.2, 0), 100)).to.equal("ada");
    expect(watch.next(levels(0.01, 0.3), 200), "a cough").to.equal("ada");
    expect(watch.next(levels(0.2, 0.01), 400)).to.equal("ada");
    expect(watch.next(levels(0.01, 0.3), 1_000)).to.equal("ada");
    expect(watch.next(levels(0.01, 0.3), 1_900)).to.equal("ben");
    expect(watch.next(levels(0, 0), 9_000)).to.equal("ben");
    expect(watch.next(new Map([["ada", 0]]), 9_100)).to.equal(null);
  });
});

describe("the look as settings", () => {
  const { draft } = createAppState("room", null).get();
  const restyle = { ...draft, on: true, prompt: "ink" };

  it("says what stands behind a person only while the room is hidden", () => {
    const behind = { kind: "color", color: "#102030" } as const;
    expect(settingsOf({ ...restyle, behind }, false)).not.to.have.property("color");
    expect(settingsOf({ ...restyle, behind }, true)).to.include({ color: "#102030" });
    expect(settingsOf({ ...restyle, behind: { kind: "blur" } }, true)).to.include({ blur: true });
    const scene = { kind: "scene", scene: "beach" } as const;
    expect(settingsOf({ ...restyle, behind: scene }, true)).to.include({ scene: "beach" });
    expect(settingsOf(restyle, true)).to.have.keys("mode", "prompt", "strength", "steps", "seed");
  });

  it("comes back as the controls show it", () => {
    const settings = { mode: "restyle", prompt: "ink", strength: 1, steps: 1, seed: 0 } as const;
    expect(draftOf(settings)).to.deep.equal(restyle);
    const blurred = { ...settings, blur: true } as const;
    expect(draftOf(blurred).behind).to.deep.equal({ kind: "blur" });
  });
});
