import type { NetworkInterfaceInfo } from "node:os";
import { networkInterfaces } from "node:os";
import { expect } from "chai";
import {
  type Interfaces,
  type ListenInfo,
  listenOn,
  type MediaAddress,
  mediaAddresses,
  readRoutes,
} from "../../../server/media/listen-addresses.ts";

function at(address: string): NetworkInterfaceInfo {
  const shared = { address, mac: "00:00:00:00:00:00", cidr: null };
  const internal = address === "127.0.0.1" || address === "::1";
  return address.includes(":")
    ? { ...shared, internal, family: "IPv6", netmask: "ffff:ffff::", scopeid: 0 }
    : { ...shared, internal, family: "IPv4", netmask: "255.255.255.0" };
}

const lo = [at("127.0.0.1"), at("::1")];
const HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT";
const route = (name: string, metric: number, destination = "00000000", mask = destination) =>
  `${name}\t${destination}\t0101A8C0\t0003\t0\t0\t${metric}\t${mask}\t0\t0\t0`;
const table = (...routes: string[]) => `${[HEAD, ...routes].join("\n")}\n`;

describe("addresses for browsers' media", () => {
  const auto = { listenIp: "auto" } as const;
  const LOOPBACK = { ip: "127.0.0.1" };
  const cases: [what: string, Interfaces, routes: string | undefined, MediaAddress[]][] = [
    [
      "the machine's own address beside loopback",
      { lo, eth0: [at("192.168.1.20")] },
      table(route("eth0", 100)),
      [LOOPBACK, { ip: "192.168.1.20" }],
    ],
    ["loopback alone where there is no network", { lo }, table(), [LOOPBACK]],
    ["loopback alone where nothing is known", {}, undefined, [LOOPBACK]],
    [
      "that of the default route, not the first one",
      { lo, eth0: [at("10.9.0.4")], docker0: [at("172.17.0.1")], wlan0: [at("192.168.7.7")] },
      table(route("eth0", 0, "0009000A", "00FFFFFF"), route("wlan0", 600)),
      [LOOPBACK, { ip: "192.168.7.7" }],
    ],
    [
      "of several default routes that with the lowest metric",
      { lo, wlan0: [at("192.168.7.7")], eth0: [at("10.0.0.4")] },
      table(route("wlan0", 600), route("eth0", 100)),
      [LOOPBACK, { ip: "10.0.0.4" }],
    ],
    [
      "a tunnel that has the default route",
      { lo, eth0: [at("10.0.0.4")], wg0: [at("10.66.0.2")] },
      table(route("wg0", 0), route("eth0", 100)),
      [LOOPBACK, { ip: "10.66.0.2" }],
    ],
    [
      "the next one where the default route's has only IPv6",
      { lo, eth0: [at("2001:db8::4")], eth1: [at("10.0.0.4")] },
      table(route("eth0", 0)),
      [LOOPBACK, { ip: "10.0.0.4" }],
    ],
    [
      "a network card before bridges and tunnels where no route is known",
      { lo, "br-1f": [at("172.18.0.1")], tun0: [at("10.8.0.2")], en0: [at("192.168.1.3")] },
      undefined,
      [LOOPBACK, { ip: "192.168.1.3" }],
    ],
    [
      "a bridge where there is nothing else",
      { lo, docker0: [at("172.17.0.1")] },
      table(),
      [LOOPBACK, { ip: "172.17.0.1" }],
    ],
    [
      "IPv6 where there is no IPv4, but none that needs a zone",
      { lo, eth0: [at("fe80::1"), at("2001:db8::4")] },
      table(),
      [LOOPBACK, { ip: "2001:db8::4" }],
    ],
    ["no address that nobody gave", { lo, eth0: [at("169.254.9.9")] }, table(), [LOOPBACK]],
    [
      "no route that is down",
      { lo, eth0: [at("10.0.0.4")], eth1: [at("10.0.1.4")] },
      table(route("eth1", 0).replace("0003", "0002")),
      [LOOPBACK, { ip: "10.0.0.4" }],
    ],
  ];
  for (const [what, interfaces, routes, expected] of cases) {
    it(what, () => expect(mediaAddresses(auto, interfaces, routes)).to.deep.equal(expected));
  }

  it("are the one that is set, announced as another where that is set", () => {
    const interfaces = { lo, eth0: [at("10.0.0.4")] };
    const told = { announcedAddress: "203.0.113.7" };
    const list = (sfu: { listenIp: string; announcedAddress?: string }) =>
      mediaAddresses(sfu, interfaces, table(route("eth0", 0)));
    expect(list({ listenIp: "10.0.0.4" })).to.deep.equal([{ ip: "10.0.0.4" }]);
    expect(list({ listenIp: "0.0.0.0", ...told })).to.deep.equal([{ ip: "0.0.0.0", ...told }]);
    expect(list({ listenIp: "auto", ...told })).to.deep.equal([
      LOOPBACK,
      { ip: "10.0.0.4", ...told },
    ]);
  });

  it("are addresses of this machine", () => {
    const own = Object.values(networkInterfaces()).flatMap((list) => list?.map((a) => a.address));
    for (const { ip } of mediaAddresses(auto, networkInterfaces(), readRoutes())) {
      expect(own).to.include(ip);
    }
    expect(readRoutes("/nowhere")).to.equal(undefined);
  });
});

describe("listening for browsers' media", () => {
  const addresses = [{ ip: "127.0.0.1" }, { ip: "10.0.0.4", announcedAddress: "203.0.113.7" }];

  /** Ports that other programs have. */
  async function listen(taken: string[]) {
    const warnings: string[] = [];
    const open = async (infos: ListenInfo[]) => {
      const blocked = infos.find(({ ip, port }) => taken.includes(`${ip}:${port}`));
      if (blocked !== undefined) throw new Error(`address already in use: ${blocked.ip}`);
      return infos;
    };
    const infos = await listenOn(addresses, 40_000, open, (details, message) =>
      warnings.push(`${details.missing}: ${message}`),
    );
    return { infos, warnings };
  }

  it("opens UDP and TCP on each address", async () => {
    const { infos, warnings } = await listen([]);
    expect(infos).to.deep.equal(
      addresses.flatMap((address) => [
        { protocol: "udp", port: 40_000, ...address },
        { protocol: "tcp", port: 40_000, ...address },
      ]),
    );
    expect(warnings).to.deep.equal([]);
  });

  it("starts on loopback, with a warning, where another program has the port elsewhere", async () => {
    const { infos, warnings } = await listen(["10.0.0.4:40000"]);
    expect(infos.map(({ ip }) => ip)).to.deep.equal(["127.0.0.1", "127.0.0.1"]);
    expect(warnings).to.have.length(1);
    expect(warnings[0]).to.match(/^10\.0\.0\.4: .*Firefox/);
  });

  it("names port and setting where it cannot listen at all", async () => {
    const problem = await listen(["127.0.0.1:40000"]).catch((error: Error) => error.message);
    expect(problem).to.include("127.0.0.1:40000").and.include("address already in use");
    expect(problem).to.include("DRIFTLESS__SFU__RTCMINPORT");
  });
});
