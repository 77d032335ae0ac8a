import { expect } from "chai";
import {
  type Publication,
  planTracks,
  shownVideo,
  spatialLayerFor,
  type TileView,
} from "../../../server/domain/view-plan.ts";
import { track } from "./support/people.ts";

const SHOWN = { version: 1, original: true, generated: true };
const HIDDEN = { version: 2, original: false, generated: true };
const NOTHING = { version: 3, original: false, generated: false };

function publication(over: Partial<Publication>): Publication {
  return {
    participantId: "ada",
    microphone: track("ada", "microphone"),
    camera: track("ada", "camera"),
    cameraPaused: false,
    generated: track("ada", "generated"),
    generatedPicture: "fresh",
    fallback: ["lastFrame", "original"],
    policy: SHOWN,
    ...over,
  };
}

/** "microphone", "(camera)" where it does not flow. */
function plan(over: Partial<Publication>, viewer = "ben", view?: TileView): string {
  return planTracks(publication(over), viewer, view)
    .map(({ track: { id }, flowing }) => {
      const name = id.split(" ")[1];
      return flowing ? name : `(${name})`;
    })
    .join(" ");
}

describe("view plan", () => {
  const stalled = (fallback: Publication["fallback"], policy = SHOWN): Partial<Publication> => ({
    ...{ generatedPicture: "stalled", fallback, policy },
  });
  const table: [string, Partial<Publication>, string, string][] = [
    ["repainted", {}, "microphone (camera) generated", "generated"],
    [
      "repainting starts",
      { generatedPicture: "none" },
      "microphone camera (generated)",
      "original",
    ],
    ["no transform", { generated: undefined }, "microphone camera", "original"],
    ["hidden, repainted", { policy: HIDDEN }, "microphone generated", "generated"],
    [
      "hidden, repainting starts",
      { policy: HIDDEN, generatedPicture: "none" },
      "microphone (generated)",
      "none",
    ],
    ["hidden, no transform", { policy: HIDDEN, generated: undefined }, "microphone", "none"],
    ["hidden while the engine still shows the room", { policy: NOTHING }, "microphone", "none"],
    ["no camera", { camera: undefined, generated: undefined }, "microphone", "none"],
    ["camera off", { cameraPaused: true }, "microphone (camera) (generated)", "none"],
    ["no voice", { microphone: undefined }, "(camera) generated", "generated"],
    [
      "stalled, the camera comes after the last frame",
      stalled(["lastFrame", "original"]),
      "microphone camera (generated)",
      "original",
    ],
    [
      "stalled, the camera comes after the last frame, but is hidden",
      stalled(["lastFrame", "original"], HIDDEN),
      "microphone generated",
      "generated",
    ],
    [
      "stalled, hidden, and the last frame may show the room",
      stalled(["lastFrame", "original"], NOTHING),
      "microphone",
      "none",
    ],
    [
      "stalled, no picture is wanted",
      stalled(["lastFrame", "avatar", "original"]),
      "microphone (camera) (generated)",
      "none",
    ],
    [
      "stalled, the last frame stays",
      stalled(["lastFrame"]),
      "microphone (camera) generated",
      "generated",
    ],
    [
      "stalled, the camera only, and it is hidden",
      stalled(["original"], HIDDEN),
      "microphone (generated)",
      "none",
    ],
  ];
  for (const [name, over, tracks, shown] of table) {
    it(name, () => {
      expect(plan(over)).to.equal(tracks);
      expect(shownVideo(publication(over))).to.equal(shown);
    });
  }

  it("gives publishers their own generated track and nothing else of their own", () => {
    expect(plan({}, "ada")).to.equal("generated");
    expect(plan({ policy: HIDDEN, generatedPicture: "none" }, "ada")).to.equal("(generated)");
    expect(plan({ policy: NOTHING }, "ada")).to.equal("");
  });

  it("sends no picture to a tile that nobody sees, but its voice", () => {
    const unseen = { visible: false, width: 0, height: 0 };
    expect(plan({}, "ben", unseen)).to.equal("microphone (camera) (generated)");
    expect(plan({ generated: undefined }, "ben", unseen)).to.equal("microphone (camera)");
  });
});

describe("spatial layer of a tile", () => {
  const table: [layers: number, width: number, height: number, layer: number][] = [
    [3, 160, 90, 0],
    [3, 200, 112, 0],
    [3, 201, 113, 1],
    [3, 400, 225, 1],
    [3, 401, 226, 2],
    [3, 1920, 1080, 2],
    [3, 90, 160, 0],
    [3, 0, 0, 0],
    [2, 300, 200, 0],
    [2, 640, 360, 1],
    [1, 10, 10, 0],
  ];
  for (const [layers, width, height, layer] of table) {
    it(`is ${layer} of ${layers} at ${width} x ${height}`, () => {
      expect(spatialLayerFor(layers, { visible: true, width, height })).to.equal(layer);
    });
  }

  it("is the top one where the size is not known", () => {
    expect(spatialLayerFor(3, undefined)).to.equal(2);
  });
});
