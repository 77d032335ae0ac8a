import { expect } from "chai";
import { DriftlessError } from "../../../server/errors.ts";
import { RateLimit, TokenBucket } from "../../../server/security/rate-limit.ts";

describe("rates", () => {
  it("of an address hold in a window, and say how long to wait", async () => {
    const rate = new RateLimit("requests", 2, 60);
    await rate.take("a");
    await rate.take("a");
    const refused = await rate.take("a").catch((error: unknown) => error);
    expect(refused).to.be.instanceOf(DriftlessError);
    expect((refused as DriftlessError).message).to.match(
      /^Too many requests\. Try again in \d+ s\.$/,
    );
    await rate.take("b");
  });

  it("of a person let a burst through, then one after the other", () => {
    let nowMs = 5000;
    const bucket = new TokenBucket("prompts", { perMinute: 30, burst: 3 }, () => nowMs);
    const takes = (count: number) => {
      let taken = 0;
      for (let i = 0; i < count; i++) {
        try {
          bucket.take();
          taken++;
        } catch (error) {
          expect((error as DriftlessError).code).to.equal("RATE_LIMITED");
        }
      }
      return taken;
    };
    expect(takes(5)).to.equal(3);
    expect(() => bucket.take()).to.throw("Too many prompts. Try again in 2 s.");
    nowMs += 1999;
    expect(takes(1)).to.equal(0);
    nowMs += 1;
    expect(takes(2)).to.equal(1);
    nowMs += 3_600_000;
    expect(takes(10)).to.equal(3);
  });
});
