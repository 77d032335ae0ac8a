import { expect } from "chai";
import { sumGauges } from "../../chaos/probes/leaks.ts";
import { Pictures } from "../../chaos/probes/pictures.ts";
import {
  BLOCKS_ACROSS,
  LOOK_HEIGHT,
  LOOK_WIDTH,
  patternOf,
  ROOM_COLUMNS,
  showsRoom,
} from "../../chaos/probes/watermark.ts";
import { formatTable, runCase } from "../../chaos/runner.ts";
import { poisoned, seeded } from "../../chaos/support/clip.ts";

type Colour = readonly [number, number, number];

/** The chequered room in two colours, with a grey person in front. */
function room(even: Colour, odd: Colour): Uint8Array {
  const rgb = new Uint8Array(LOOK_WIDTH * LOOK_HEIGHT * 3);
  for (let y = 0; y < LOOK_HEIGHT; y += 1) {
    for (let x = 0; x < LOOK_WIDTH; x += 1) {
      const column = Math.floor(x / 4);
      const person = column >= ROOM_COLUMNS && column < BLOCKS_ACROSS - ROOM_COLUMNS;
      const block = (column + Math.floor(y / 4)) % 2 === 0 ? even : odd;
      rgb.set(person ? [90, 90, 90] : block, (y * LOOK_WIDTH + x) * 3);
    }
  }
  return rgb;
}

describe("chaos: what viewers saw", () => {
  it("knows the room, also in other colours and with little contrast", () => {
    expect(showsRoom(room([200, 20, 200], [30, 190, 40]))).to.equal(true);
    expect(showsRoom(room([120, 120, 120], [100, 100, 100]))).to.equal(true);
    expect(showsRoom(room([30, 190, 40], [200, 20, 200]))).to.equal(true);
  });

  it("takes neither an even nor an irregular background for the room", () => {
    expect(patternOf(room([128, 128, 128], [129, 129, 129]))).to.equal(0);
    const random = seeded(5);
    const noise = Uint8Array.from(room([0, 0, 0], [0, 0, 0]), () => Math.floor(random() * 256));
    expect(showsRoom(noise)).to.equal(false);
    const slope = Uint8Array.from(room([0, 0, 0], [0, 0, 0]), (_, i) => (i / 3) % LOOK_WIDTH);
    expect(showsRoom(slope)).to.equal(false);
  });

  it("counts a silence from the beginning and up to the end", () => {
    const pictures = new Pictures([], () => 2000);
    const frame = (atMs: number, track: "original" | "generated") =>
      pictures.add("ada", {
        ...{ participantId: "p", track, ssrc: 1, atMs },
        ...{ payloads: [], whole: true },
      });
    for (const at of [1100, 1300]) frame(at, "original");
    for (const at of [1500, 1700]) frame(at, "generated");
    expect(pictures.longestGapMs("ada", 1000)).to.equal(300);
    expect(pictures.longestGapMs("ada", 1000, 1750)).to.equal(200);
    expect(pictures.longestGapMs("nobody", 1000)).to.equal(1000);
    expect(pictures.count("ada", 1200, "original")).to.equal(1);
  });
});

describe("chaos: what stays behind", () => {
  it("adds the gauges of an empty server up over their labels", () => {
    const text = [
      "# HELP driftless_rooms Rooms that exist.",
      "driftless_rooms 1",
      'driftless_consumers{kind="audio",track="original"} 2',
      'driftless_consumers{kind="video",track="generated"} 3',
      "driftless_joins_total 7",
    ].join("\n");
    expect(sumGauges(text)).to.deep.equal({ rooms: 1, consumers: 5 });
  });
});

describe("chaos: cases", () => {
  const context = { short: true, say: () => undefined };
  const good = {
    ...{ tried: 2, longestGapMs: 40, rawFrames: 0, renegotiations: 0, leaked: 0, ok: true },
    notes: [],
  };

  it("takes a case that throws or hangs for a failed one", async () => {
    const thrown = await runCase(
      {
        ...{ name: "a", about: "", limitMs: () => 1000 },
        run: () => Promise.reject(new Error("no engine")),
      },
      context,
    );
    expect(thrown)
      .to.include({ name: "a", ok: false })
      .and.to.deep.include({ notes: ["no engine"] });
    const hung = await runCase(
      { ...{ name: "b", about: "", limitMs: () => 20 }, run: () => new Promise(() => undefined) },
      context,
    );
    expect(hung.notes).to.deep.equal(["no result within 20 ms"]);
  });

  it("tells each case in a line, and what was wrong below", async () => {
    const table = formatTable([
      { name: "calm", ...good },
      { name: "storm", ...good, longestGapMs: null, ok: false, notes: ["too loud"] },
    ]);
    expect(table.split("\n")).to.have.length(4);
    expect(table)
      .to.match(/calm +2 +40 ms .* ok\n/)
      .and.to.match(/storm .* FAILED\n {2}storm: too loud$/);
  });

  it("breaks frames in the same way each time, and leaves some whole", () => {
    const frames = Array.from({ length: 40 }, (_, n) => ({
      data: Buffer.alloc(200, n + 1),
      keyFrame: n % 5 === 0,
    }));
    const clip = { source: "", video: frames, videoFps: 24, audio: [] };
    const [one, two, other] = [1, 1, 2].map((seed) => poisoned(clip, seeded(seed)).video);
    expect(one).to.deep.equal(two);
    expect(one).not.to.deep.equal(other);
    const whole = one?.filter(({ data }, n) => data.equals(frames[n]?.data ?? data)).length;
    expect(whole).to.be.within(4, 20);
    expect(frames[7]?.data.equals(Buffer.alloc(200, 8))).to.equal(true);
  });
});
