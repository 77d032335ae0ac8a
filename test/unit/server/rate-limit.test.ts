import { expect } from "chai";
import { DriftlessError } from "../../../server/errors.ts";
import { RateLimit } from "../../../server/security/rate-limit.ts";

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
});
