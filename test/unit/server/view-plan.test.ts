import { expect } from "chai";
import type { types as ms } from "mediasoup";
import { type Publication, planTracks, shownVideo } from "../../../server/domain/view-plan.ts";
import type { TrackData } from "../../../server/media/track-data.ts";

type Producer = ms.Producer<TrackData>;
const producer = (id: string) => ({ id }) as Producer;

function publication(over: Partial<Publication>): Publication {
  return {
    participantId: "ada",
    microphone: producer("mic"),
    camera: producer("cam"),
    generated: producer("gen"),
    generatedActive: true,
    hideOriginal: false,
    ...over,
  };
}

function plan(over: Partial<Publication>, viewer = "ben"): string[] {
  return planTracks(publication(over), viewer).map(
    ({ producer: { id }, flowing }) => `${id}${flowing ? "" : " (waiting)"}`,
  );
}

describe("view plan", () => {
  const table: [string, Partial<Publication>, string[], string][] = [
    ["generated active", {}, ["mic", "cam (waiting)", "gen"], "generated"],
    ["generated starting", { generatedActive: false }, ["mic", "cam", "gen (waiting)"], "original"],
    ["no transform", { generated: undefined }, ["mic", "cam"], "original"],
    ["hidden, active", { hideOriginal: true }, ["mic", "gen"], "generated"],
    [
      "hidden, starting",
      { hideOriginal: true, generatedActive: false },
      ["mic", "gen (waiting)"],
      "none",
    ],
    ["hidden, no transform", { hideOriginal: true, generated: undefined }, ["mic"], "none"],
    ["no camera", { camera: undefined, generated: undefined }, ["mic"], "none"],
  ];
  for (const [name, over, tracks, shown] of table) {
    it(name, () => {
      expect(plan(over)).to.deep.equal(tracks);
      expect(shownVideo(publication(over))).to.equal(shown);
    });
  }

  it("gives publishers their own generated track and nothing else of their own", () => {
    expect(plan({}, "ada")).to.deep.equal(["gen"]);
    expect(plan({ hideOriginal: true, generatedActive: false }, "ada")).to.deep.equal([
      "gen (waiting)",
    ]);
  });
});
