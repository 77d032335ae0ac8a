import { expect } from "chai";
import { summarize } from "../../e2e/lips.ts";
import { splitMotionJpeg } from "../../e2e/support/clips.ts";
import { offsets } from "../../e2e/support/lips-probe.ts";
import { readOptions } from "../../e2e/support/options.ts";

describe("end-to-end measurements", () => {
  it("pairs each flash with the nearest beep and leaves out what was not heard", () => {
    const at = (...times: number[]) => times.map((atMs) => ({ atMs }));
    const seen = { flashes: at(1040, 3000, 9000), beeps: at(1000, 3100) };
    expect(offsets(seen, 1000)).to.deep.equal([
      { atMs: 1040, offsetMs: 40 },
      { atMs: 3000, offsetMs: -100 },
    ]);
  });

  it("says from when on the voice stays with the picture", () => {
    const values = [300, 200, -40, 60, 20];
    const inside = values.map((offsetMs, i) => ({ atMs: 5000 + 2000 * i, offsetMs }));
    expect(summarize(inside, 4000)).to.deep.equal({
      samples: 5,
      p50: 60,
      p95: 300,
      worst: 300,
      settledAfterMs: 5000,
    });
    expect(summarize(inside.slice(0, 2), 4000).settledAfterMs).to.equal(null);
    expect(summarize(inside.slice(3), 4000).settledAfterMs).to.equal(0);
    expect(summarize([], 4000)).to.include({ samples: 0, p50: null, settledAfterMs: null });
  });

  it("cuts a Motion JPEG file into its pictures", () => {
    const picture = (body: number) => Buffer.from([0xff, 0xd8, body, 0xff, 0xd9]);
    expect(splitMotionJpeg(Buffer.concat([picture(1), picture(2)]))).to.deep.equal([
      picture(1),
      picture(2),
    ]);
    expect(splitMotionJpeg(Buffer.from([0xff, 0xd8, 1]))).to.deep.equal([]);
  });

  it("reads an upright camera, and names what it cannot read", () => {
    expect(readOptions(["--camera", "720x1280"]).camera).to.deep.equal({
      width: 720,
      height: 1280,
    });
    expect(() => readOptions(["--camera", "tall"])).to.throw('got "tall"');
    expect(() => readOptions(["--camera", "641x360"])).to.throw("even numbers");
    expect(() => readOptions(["--browser", "safari"])).to.throw('got "safari"');
    expect(() => readOptions(["--seconds", "0"])).to.throw("--seconds");
  });
});
