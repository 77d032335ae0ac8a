import type { IncomingMessage } from "node:http";
import { expect } from "chai";
import {
  clientAddress,
  isAllowedOrigin,
  isLocalRequest,
  isLoopback,
} from "../../../server/security/origin.ts";

function request(remoteAddress: string, headers: Record<string, string> = {}): IncomingMessage {
  return { socket: { remoteAddress }, headers } as unknown as IncomingMessage;
}

describe("where requests come from", () => {
  it("knows this machine's addresses", () => {
    for (const address of ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]) {
      expect(isLoopback(address), address).to.equal(true);
    }
    for (const address of [undefined, "10.0.0.1", "::ffff:10.0.0.1", "127.0.0.1.evil", ""]) {
      expect(isLoopback(address), address).to.equal(false);
    }
  });

  it("does not take a proxied request for a local one", () => {
    expect(isLocalRequest(request("127.0.0.1"))).to.equal(true);
    expect(isLocalRequest(request("127.0.0.1", { forwarded: "for=1.2.3.4" }))).to.equal(false);
    expect(isLocalRequest(request("127.0.0.1", { "x-forwarded-for": "::1" }))).to.equal(false);
  });

  it("believes as many proxies as it is told to", () => {
    const asked = request("10.0.0.1", { "x-forwarded-for": "invented, 1.2.3.4, 10.0.0.2" });
    expect(clientAddress(asked, 0)).to.equal("10.0.0.1");
    expect(clientAddress(asked, 1)).to.equal("10.0.0.2");
    expect(clientAddress(asked, 2)).to.equal("1.2.3.4");
    expect(clientAddress(request("10.0.0.1"), 2)).to.equal("10.0.0.1");
  });

  it("lets in pages of its own and of allowed origins, and programs", () => {
    const from = (origin: string) => request("1.2.3.4", { origin, host: "meet.example:3000" });
    expect(isAllowedOrigin(from("https://meet.example:3000"), [])).to.equal(true);
    expect(isAllowedOrigin(from("https://evil.example"), [])).to.equal(false);
    expect(isAllowedOrigin(from("null"), [])).to.equal(false);
    expect(isAllowedOrigin(from("https://app.example"), ["https://app.example"])).to.equal(true);
    expect(isAllowedOrigin(request("1.2.3.4"), [])).to.equal(true);
  });
});
