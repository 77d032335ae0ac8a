import type { IncomingMessage } from "node:http";
import { expect } from "chai";
import { clientAddress, isLoopback, limitKey } from "../../../server/security/addresses.ts";
import { signOfProxy } from "../../../server/security/forwarding.ts";
import { createOriginCheck, writtenOrigins } from "../../../server/security/origin.ts";

type Headers = Record<string, string>;

function request(remoteAddress: string, headers: Headers = {}, httpVersion = "1.1") {
  return { socket: { remoteAddress }, headers, httpVersion } as unknown as IncomingMessage;
}

describe("addresses of those who ask", () => {
  it("knows this machine's addresses", () => {
    for (const address of ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"]) {
      expect(isLoopback(address), address).to.equal(true);
    }
    for (const address of [undefined, "10.0.0.1", "::ffff:10.0.0.1", "127.0.0.1.evil", "", "::2"]) {
      expect(isLoopback(address), address).to.equal(false);
    }
  });

  it("believes as many proxies as it is told to", () => {
    const asked = request("10.0.0.1", { "x-forwarded-for": "invented, 1.2.3.4, 10.0.0.2" });
    expect(clientAddress(asked, 0)).to.equal("10.0.0.1");
    expect(clientAddress(asked, 1)).to.equal("10.0.0.2");
    expect(clientAddress(asked, 2)).to.equal("1.2.3.4");
    expect(clientAddress(request("10.0.0.1"), 2)).to.equal("10.0.0.1");
  });

  it("reads the standard header too, and addresses with ports", () => {
    const cases: [Headers, string][] = [
      [{ forwarded: 'for=invented, for="[2001:db8::1]:4711";host=a.example' }, "2001:db8::1"],
      [{ forwarded: "proto=https; For=192.0.2.60 ;by=10.0.0.1" }, "192.0.2.60"],
      [{ "x-forwarded-for": "192.0.2.7:55123" }, "192.0.2.7"],
      [{ "x-forwarded-for": "::ffff:192.0.2.8" }, "192.0.2.8"],
      [{ "x-forwarded-for": "192.0.2.9", forwarded: "for=192.0.2.1" }, "192.0.2.9"],
    ];
    for (const [headers, expected] of cases) {
      expect(clientAddress(request("10.0.0.1", headers), 1)).to.equal(expected);
    }
    expect(clientAddress(request("::ffff:10.0.0.9"), 0)).to.equal("10.0.0.9");
  });

  it("counts the addresses that one IPv6 host may choose from as one", () => {
    expect(limitKey("192.0.2.1")).to.equal("192.0.2.1");
    expect(limitKey("2001:db8::1")).to.equal(limitKey("2001:db8:0:0:ffff::2"));
    expect(limitKey("2001:db8::1")).not.to.equal(limitKey("2001:db8:0:1::1"));
    expect(limitKey("fe80::1%eth0")).to.equal("fe80:0:0:0::/64");
  });

  it("notices that a proxy passed a request on", () => {
    expect(signOfProxy(request("127.0.0.1", { connection: "keep-alive" }))).to.equal(undefined);
    const websocket = { connection: "Upgrade", upgrade: "websocket" };
    expect(signOfProxy(request("127.0.0.1", websocket))).to.equal(undefined);
    for (const name of [
      "forwarded",
      "via",
      "x-forwarded-for",
      "x-forwarded-proto",
      "x-real-ip",
      "cf-ray",
      "cf-connecting-ip",
      "x-envoy-external-address",
    ]) {
      expect(signOfProxy(request("127.0.0.1", { [name]: "x" })), name).to.equal(name);
    }
  });

  it("notices nginx without any header: as it comes, and by its recipes for WebSockets", () => {
    expect(signOfProxy(request("127.0.0.1", { connection: "close" }, "1.0"))).to.equal("HTTP/1.0");
    for (const connection of ["upgrade", "close"]) {
      expect(signOfProxy(request("127.0.0.1", { connection }))).to.equal(
        `connection: ${connection}`,
      );
    }
  });
});

describe("pages that ask", () => {
  const rules = { publicUrl: undefined, allowedOrigins: [], trustedProxies: 0 };
  type Rules = Partial<Parameters<typeof createOriginCheck>[0]>;

  function kind(headers: Headers, more: Rules = {}): string {
    return createOriginCheck({ ...rules, ...more })(request("127.0.0.1", headers));
  }

  it("knows its own by the host that was asked", () => {
    const own: [string, string][] = [
      ["https://meet.example:3000", "meet.example:3000"],
      ["https://meet.example", "meet.example:443"],
      ["http://meet.example:80", "meet.example"],
      ["https://Meet.Example", "meet.EXAMPLE."],
      ["https://meet.example.", "meet.example"],
      ["http://[::1]:3000", "[0:0::1]:3000"],
      ["http://127.0.0.1:3000", "127.0.0.1:3000"],
      ["https://xn--mnchen-3ya.de", "xn--mnchen-3ya.de"],
    ];
    for (const [origin, host] of own) {
      expect(kind({ origin, host }), `${origin} asks ${host}`).to.equal("own");
    }
    const foreign: [string, string][] = [
      ["https://evil.example", "meet.example:3000"],
      ["https://meet.example", "meet.example:3000"],
      ["https://meet.example:8443", "meet.example"],
      ["http://meet.example", "meet.example:443"],
      ["https://meet.example.evil", "meet.example"],
      ["http://localhost:3000", "127.0.0.1:3000"],
      ["null", "null"],
      ["file://", "meet.example"],
      ["https://meet.example", "meet.example/"],
      ["https://meet.example", "user@meet.example"],
      ["nonsense", "nonsense"],
      ["", "meet.example"],
    ];
    for (const [origin, host] of foreign) {
      expect(kind({ origin, host }), `${origin} asks ${host}`).to.equal("foreign");
    }
    expect(kind({ host: "meet.example" })).to.equal("none");
  });

  it("knows its own behind a proxy that asks by the server's own address", () => {
    const headers = { origin: "https://meet.example.org", host: "127.0.0.1:3000" };
    expect(kind(headers)).to.equal("foreign");
    expect(kind(headers, { publicUrl: "https://Meet.example.org/" })).to.equal("own");
    expect(kind(headers, { publicUrl: "http://meet.example.org" })).to.equal("foreign");
    const told: Headers[] = [
      { "x-forwarded-host": "meet.example.org" },
      { "x-forwarded-host": "invented.example, meet.example.org" },
      { forwarded: 'for=192.0.2.1;host="meet.example.org:443"' },
    ];
    for (const more of told) {
      expect(kind({ ...headers, ...more }, { trustedProxies: 1 })).to.equal("own");
      expect(kind({ ...headers, ...more })).to.equal("foreign");
    }
    const invented = { ...headers, "x-forwarded-host": "meet.example.org, other.example" };
    expect(kind(invented, { trustedProxies: 1 })).to.equal("foreign");
    expect(kind(invented, { trustedProxies: 2 })).to.equal("own");
  });

  it("knows its own by a port that the proxy did not hand on", () => {
    const headers = { origin: "https://meet.example.org:8443", host: "meet.example.org" };
    expect(kind(headers)).to.equal("foreign");
    expect(kind(headers, { publicUrl: "https://meet.example.org:8443" })).to.equal("own");
    const port = { ...headers, "x-forwarded-port": "8443" };
    expect(kind(port)).to.equal("foreign");
    expect(kind(port, { trustedProxies: 1 })).to.equal("own");
    const whole = { ...headers, "x-forwarded-host": "meet.example.org:8443" };
    expect(kind(whole, { trustedProxies: 1 })).to.equal("own");
    const internal = { ...headers, host: "127.0.0.1:3000", "x-forwarded-port": "8443" };
    expect(kind(internal, { trustedProxies: 1 })).to.equal("foreign");
  });

  it("tells apart other sites that may connect", () => {
    const allowedOrigins = ["https://App.example/", "capacitor://localhost"];
    const from = (origin: string) => kind({ origin, host: "meet.example" }, { allowedOrigins });
    expect(from("https://app.example")).to.equal("allowed");
    expect(from("https://app.example:443")).to.equal("allowed");
    expect(from("capacitor://localhost")).to.equal("allowed");
    expect(from("http://app.example")).to.equal("foreign");
    expect(from("https://app.example:8443")).to.equal("foreign");
    expect(from("null")).to.equal("foreign");
    expect(writtenOrigins(allowedOrigins)).to.deep.equal([
      "https://app.example",
      "capacitor://localhost",
    ]);
  });
});
