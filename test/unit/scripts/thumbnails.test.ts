import { readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { lookOf, makeThumbnails } from "../../../scripts/lib/thumbnails.mjs";
import { PROJECT_ROOT } from "../../../server/config/load.ts";

describe("the pictures on the preset buttons", () => {
  it("show a preset with everything that it says", () => {
    expect(lookOf({ prompt: "ink" }).join(" ")).to.equal(
      "look --prompt ink --mode restyle --strength 0.7 --steps 1 --seed 0",
    );
    const beach = { prompt: "sea", mode: "background", scene: "beach", steps: 2, seed: 7 };
    expect(lookOf({ ...beach, strength: 1 }).join(" ")).to.equal(
      "look --prompt sea --mode background --strength 1 --steps 2 --seed 7 --scene beach",
    );
  });

  it("are small webp pictures of 192x108", () => {
    const file = path.join(PROJECT_ROOT, "config/presets.yaml");
    const { presets } = parse(readFileSync(file, "utf8")) as { presets: { thumbnail: string }[] };
    for (const { thumbnail } of presets) {
      const bytes = readFileSync(path.join(PROJECT_ROOT, "client/public", thumbnail));
      expect(bytes.toString("latin1", 0, 4), thumbnail).to.equal("RIFF");
      expect(bytes.toString("latin1", 8, 16), thumbnail).to.equal("WEBPVP8 ");
      // RFC 6386 section 9.1: the size stands behind the frame tag and the start code.
      expect(bytes.readUInt16LE(26) & 0x3fff, thumbnail).to.equal(192);
      expect(bytes.readUInt16LE(28) & 0x3fff, thumbnail).to.equal(108);
      expect(bytes.length, thumbnail).to.be.below(16_000);
    }
  });

  it("need a clip", async () => {
    const context = { node: "node", env: {}, args: ["--only", "beach"] };
    expect(await makeThumbnails(context)).to.equal(2);
  });
});
