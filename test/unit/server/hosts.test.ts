import type { IncomingMessage } from "node:http";
import { expect } from "chai";
import { DriftlessError } from "../../../server/errors.ts";
import { createHostCheck, type HostRules, isLoopbackHost } from "../../../server/security/hosts.ts";
import { RequestGuard } from "../../../server/security/request-guard.ts";

const http = {
  host: "127.0.0.1",
  publicUrl: undefined as string | undefined,
  trustedProxies: 0,
  allowedOrigins: [] as string[],
  allowedHosts: [] as string[],
};

function request(headers: Record<string, string>, remoteAddress = "127.0.0.1") {
  const shown = { connection: "keep-alive", ...headers };
  return {
    socket: { remoteAddress },
    headers: shown,
    httpVersion: "1.1",
  } as unknown as IncomingMessage;
}

describe("names that this server is asked by", () => {
  const rules: HostRules = {
    listenHost: "127.0.0.1",
    publicUrl: undefined,
    allowedHosts: [],
    machineName: "studio",
  };
  const accepts = (host: string, more: Partial<HostRules> = {}) =>
    createHostCheck({ ...rules, ...more })(host);

  it("are loopback's where it listens there", () => {
    for (const host of [
      "localhost",
      "LocalHost.:3000",
      "tenant.localhost:3000",
      "127.0.0.1:3000",
      "127.9.9.9",
      "127.1",
      "[::1]:3000",
      "[::ffff:127.0.0.1]:3000",
    ]) {
      expect(accepts(host), host).to.equal(true);
    }
    for (const host of [
      "evil.example",
      "localhost.evil.example",
      "127.0.0.1.evil.example:3000",
      "192.168.1.20:3000",
      "[2001:db8::1]",
      "studio",
      "localhost@evil.example",
      "localhost/evil",
      "",
    ]) {
      expect(accepts(host), host).to.equal(false);
    }
    expect(createHostCheck(rules)(undefined)).to.equal(false);
  });

  it("are any address, and this machine's name, where it listens for others", () => {
    for (const listenHost of ["0.0.0.0", "::", "192.168.1.20"]) {
      for (const host of ["192.168.1.20:3000", "[2001:db8::1]:3000", "localhost", "Studio:3000"]) {
        expect(accepts(host, { listenHost }), host).to.equal(true);
      }
      expect(accepts("studio.local", { listenHost })).to.equal(true);
      expect(accepts("evil.example", { listenHost })).to.equal(false);
    }
  });

  it("are those that the settings name", () => {
    expect(accepts("box.lan:3000", { listenHost: "box.lan" })).to.equal(true);
    expect(accepts("meet.example.org", { publicUrl: "https://meet.example.org:8443" })).to.equal(
      true,
    );
    const allowedHosts = ["Meet.lan", ".example.org", "2001:db8::5"];
    for (const host of [
      "meet.lan:3000",
      "example.org",
      "a.b.example.org.",
      "[2001:db8:0::5]:3000",
    ]) {
      expect(accepts(host, { allowedHosts }), host).to.equal(true);
    }
    for (const host of ["a.meet.lan", "evilexample.org", "[2001:db8::6]"]) {
      expect(accepts(host, { allowedHosts }), host).to.equal(false);
    }
  });

  it("tells loopback's names from others", () => {
    for (const name of ["localhost", "a.localhost", "[::1]", "::1", "127.0.0.1"]) {
      expect(isLoopbackHost(name), name).to.equal(true);
    }
    for (const name of ["notlocalhost", "localhost.example", "10.0.0.1", ""]) {
      expect(isLoopbackHost(name), name).to.equal(false);
    }
  });
});

describe("the guard of requests", () => {
  interface Warning {
    details: Record<string, unknown>;
    message: string;
  }

  function create(settings: Partial<typeof http> = {}) {
    const warnings: Warning[] = [];
    const clock = { nowMs: 0 };
    const guard = new RequestGuard({
      http: { ...http, ...settings },
      warn: (details, message) => warnings.push({ details, message }),
      nowMs: () => clock.nowMs,
      machineName: "studio",
    });
    return { guard, warnings, clock };
  }

  function refusal(check: () => void): string {
    try {
      check();
    } catch (error) {
      expect(error).to.be.instanceOf(DriftlessError);
      return `${(error as DriftlessError).code}: ${(error as DriftlessError).message}`;
    }
    return "none";
  }

  it("refuses unknown hosts with a sentence that names the settings", () => {
    const { guard, warnings } = create();
    const message = refusal(() => guard.checkHost(request({ host: "evil.example:3000" })));
    expect(message).to.match(/^HOST_NOT_ALLOWED: .*"evil\.example:3000".*http\.allowedHosts/);
    expect(warnings).to.have.length(1);
    expect(warnings[0]?.details).to.deep.equal({ host: "evil.example:3000" });
    expect(refusal(() => guard.checkHost(request({ host: "localhost:3000" })))).to.equal("none");
  });

  it("believes the host that a trusted proxy hands on, until the settings name one", () => {
    const proxied = { host: "meet.example.org", "x-forwarded-for": "192.0.2.1" };
    const check = (settings: Partial<typeof http>, headers: Record<string, string> = proxied) =>
      refusal(() => create(settings).guard.checkHost(request(headers)));
    expect(check({})).to.include("HOST_NOT_ALLOWED");
    expect(check({ trustedProxies: 1 })).to.equal("none");
    expect(check({ trustedProxies: 2 })).to.include("HOST_NOT_ALLOWED");
    expect(check({ trustedProxies: 1 }, { host: "evil.example" })).to.include("HOST_NOT_ALLOWED");
    const named = { trustedProxies: 1, publicUrl: "https://other.example" };
    expect(check(named)).to.include("HOST_NOT_ALLOWED");
  });

  it("warns once a minute about pages of other origins, and how often it kept quiet", () => {
    const { guard, warnings, clock } = create();
    const page = { origin: "https://meet.example.org", host: "127.0.0.1:3000" };
    for (let i = 0; i < 5; i++) {
      const message = refusal(() => guard.checkOrigin(request(page)));
      expect(message).to.match(
        /^ORIGIN_NOT_ALLOWED: .*https:\/\/meet\.example\.org.*http\.publicUrl/,
      );
    }
    expect(warnings).to.have.length(1);
    expect(warnings[0]?.message).to.include("http.publicUrl").and.include("http.trustedProxies");
    expect(warnings[0]?.details).to.deep.equal({ origin: page.origin, hosts: [page.host] });
    clock.nowMs = 60_000;
    refusal(() => guard.checkOrigin(request(page)));
    expect(warnings).to.have.length(2);
    expect(warnings[1]?.details).to.have.property("refusedBefore", 4);
  });

  it("shows only the beginning of what strangers sent", () => {
    const { guard, warnings } = create();
    const message = refusal(() => guard.checkOrigin(request({ origin: "x".repeat(8000) })));
    expect(message.length).to.be.below(400);
    expect(JSON.stringify(warnings).length).to.be.below(600);
  });

  it("lets only programs of this machine administer in open mode", () => {
    const local = request({ host: "127.0.0.1:3000" });
    expect(create().guard.isLocalAdmin(local)).to.equal(true);
    const others: [string, IncomingMessage][] = [
      ["another machine", request({ host: "127.0.0.1:3000" }, "192.0.2.1")],
      ["a rebound name", request({ host: "evil.example:3000" })],
      ["an address of this machine", request({ host: "192.168.1.20:3000" })],
      ["no host", request({})],
      ["a proxy", request({ host: "127.0.0.1:3000", "x-forwarded-for": "192.0.2.1" })],
      ["a proxy that says less", request({ host: "127.0.0.1:3000", "x-real-ip": "192.0.2.1" })],
      ["a tunnel", request({ host: "localhost:3000", "cf-ray": "1" })],
      ["a WebSocket recipe of nginx", request({ host: "127.0.0.1:3000", connection: "upgrade" })],
    ];
    for (const [who, asked] of others) {
      expect(create().guard.isLocalAdmin(asked), who).to.equal(false);
    }
  });

  it("lets nobody administer in open mode where a proxy is expected", () => {
    const local = request({ host: "127.0.0.1:3000" });
    const administers = (settings: Partial<typeof http>) =>
      create(settings).guard.isLocalAdmin(local);
    expect(administers({ trustedProxies: 1 })).to.equal(false);
    expect(administers({ publicUrl: "https://meet.example.org" })).to.equal(false);
    expect(administers({ publicUrl: "http://localhost:3000" })).to.equal(true);
    // Who measures on this machine needs no token there either.
    expect(create({ trustedProxies: 1 }).guard.isDirect(local)).to.equal(true);
  });

  it("counts by the address that a trusted proxy tells", () => {
    const { guard } = create({ trustedProxies: 1 });
    const headers = { "x-forwarded-for": "192.0.2.1, 2001:db8::7" };
    expect(guard.limitKey(request(headers))).to.equal("2001:db8:0:0::/64");
    expect(create().guard.limitKey(request(headers))).to.equal("127.0.0.1");
  });
});
