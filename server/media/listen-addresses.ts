/**
 * Where browsers' media is received, and which addresses they are told.
 *
 * A server for this machine alone would listen on 127.0.0.1, but Firefox ignores ICE candidates of
 * loopback addresses (RFC 8445 5.1.1.1 says not to gather them). So by default there is also one of the
 * machine's own address, which every browser on it reaches without leaving it.
 */
import { readFileSync } from "node:fs";
import type { NetworkInterfaceInfo } from "node:os";
import type { SfuConfig } from "../config/schema.ts";

export interface MediaAddress {
  ip: string;
  /** Told to browsers instead of ip. */
  announcedAddress?: string;
}

export type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>;

const LOOPBACK = "127.0.0.1";
/** Bridges, container links and tunnels: they come and go, and other machines rarely reach them. */
const VIRTUAL =
  /^(docker|br-|veth|virbr|vnet|tun|tap|utun|wg|tailscale|zt|ppp|cni|flannel|cali|cilium|lxc|lxd|podman|vmnet|vboxnet|ifb|dummy)/;
const RTF_UP = 1;

/**
 * @param routes /proc/net/route, which tells the interface of the default route; undefined where there
 *   is none (not Linux).
 * @returns at least one address, the most wanted first: ICE tries them in this order.
 */
export function mediaAddresses(
  sfu: Pick<SfuConfig, "listenIp" | "announcedAddress">,
  interfaces: Interfaces,
  routes: string | undefined,
): MediaAddress[] {
  const announced =
    sfu.announcedAddress === undefined ? {} : { announcedAddress: sfu.announcedAddress };
  if (sfu.listenIp !== "auto") return [{ ip: sfu.listenIp, ...announced }];
  const own = ownAddress(interfaces, routes);
  if (own === undefined) return [{ ip: LOOPBACK, ...announced }];
  return [{ ip: LOOPBACK }, { ip: own, ...announced }];
}

export interface ListenInfo extends MediaAddress {
  protocol: "udp" | "tcp";
  port: number;
}

/**
 * Listens on a port of all addresses, with UDP and TCP. Where another program has that port on one of
 * several addresses (they lie in the range that systems give out), the first address has to do.
 * @param listen opens all or none. @param warn is told what does not work then.
 * @throws Error that names addresses, port and settings.
 */
export async function listenOn<T>(
  addresses: readonly MediaAddress[],
  port: number,
  listen: (infos: ListenInfo[]) => Promise<T>,
  warn: (details: Record<string, unknown>, message: string) => void,
): Promise<T> {
  try {
    return await listen(
      addresses.flatMap((address) => [
        { protocol: "udp", port, ...address },
        { protocol: "tcp", port, ...address },
      ]),
    );
  } catch (error) {
    const [first, ...others] = addresses;
    if (first !== undefined && others.length > 0) {
      const result = await listenOn([first], port, listen, warn);
      warn(
        { err: error, port, missing: others.map(({ ip }) => ip) },
        `media is received on ${first.ip} only, which Firefox does not use: free the port or set sfu.rtcMinPort`,
      );
      return result;
    }
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `Cannot listen for media on UDP and TCP ${first?.ip}:${port}: ${reason}. ` +
        "Free the port or set sfu.rtcMinPort (DRIFTLESS__SFU__RTCMINPORT) to another one.",
      { cause: error },
    );
  }
}

/** What /proc/net/route says now. */
export function readRoutes(file = "/proc/net/route"): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/**
 * The machine's own address: of the default route's interface, else of one that looks like a network
 * card, else any. IPv4 before IPv6, because not every browser gathers the latter.
 */
function ownAddress(interfaces: Interfaces, routes: string | undefined): string | undefined {
  const preferred = defaultInterfaces(routes);
  const rank = (name: string) => {
    const position = preferred.indexOf(name);
    if (position >= 0) return position;
    return preferred.length + (VIRTUAL.test(name) ? 1 : 0);
  };
  const candidates = Object.entries(interfaces)
    .flatMap(([name, addresses]) => (addresses ?? []).map((address) => ({ name, ...address })))
    .filter((address) => !address.internal && isReachable(address))
    // Stable: of equals the system's order decides.
    .sort((a, b) => rank(a.name) - rank(b.name));
  const ofFamily = (family: string) => candidates.find((address) => address.family === family);
  return (ofFamily("IPv4") ?? ofFamily("IPv6"))?.address;
}

/** Link-local addresses need a zone to be reached, which candidates do not carry. */
function isReachable({ family, address }: NetworkInterfaceInfo): boolean {
  return family === "IPv4" ? !address.startsWith("169.254.") : !/^fe[89ab]/i.test(address);
}

/** Names of the interfaces with a default route that is up, the one that the kernel takes first. */
function defaultInterfaces(routes: string | undefined): string[] {
  return (routes ?? "")
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, destination, , flags, , , , mask]) => {
      const up = (Number.parseInt(flags ?? "", 16) & RTF_UP) !== 0;
      return destination === "00000000" && mask === "00000000" && up;
    })
    .sort((a, b) => Number(a[6]) - Number(b[6]))
    .map(([name]) => name ?? "");
}
