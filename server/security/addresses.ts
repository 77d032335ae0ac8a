/** Network addresses of those who ask. */
import type { IncomingMessage } from "node:http";
import { BlockList, isIP } from "node:net";
import { forwardedFor } from "./forwarding.ts";

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/** True for 127.0.0.0/8, ::1 and the IPv4-mapped forms of the former (RFC 4291 2.5.5.2). */
export function isLoopback(address: string | undefined): boolean {
  const family = isIP(address ?? "");
  if (address === undefined || family === 0) return false;
  return LOOPBACK.check(address, family === 6 ? "ipv6" : "ipv4");
}

/**
 * The address that asks. Each trusted proxy appends the address it was asked by
 * to X-Forwarded-For (or Forwarded); what stands before those entries may be invented.
 */
export function clientAddress(request: IncomingMessage, trustedProxies: number): string {
  const hops = trustedProxies > 0 ? forwardedFor(request) : [];
  const trusted = hops.slice(-trustedProxies)[0];
  return plainAddress(trusted ?? request.socket.remoteAddress ?? "unknown");
}

/**
 * What limits are counted by: an IPv6 host may choose any address of its /64 (RFC 4291 2.5.4), so
 * they count as one.
 */
export function limitKey(address: string): string {
  if (isIP(address) !== 6) return address;
  return `${expandIPv6(address).slice(0, 4).join(":")}::/64`;
}

/** Without a port, brackets, or the IPv6 form of an IPv4 address. Bounded: it ends up in maps. */
function plainAddress(text: string): string {
  const withPort = /^(?:\[([^\]]+)\]|(\d+\.\d+\.\d+\.\d+))(?::\d+)?$/.exec(text);
  const address = withPort?.[1] ?? withPort?.[2] ?? text;
  if (isIP(address) !== 6) return address.slice(0, 64);
  const groups = expandIPv6(address);
  const mapped = groups.slice(0, 6).join(":") === "0:0:0:0:0:ffff";
  if (!mapped) return address.toLowerCase();
  const [high = 0, low = 0] = groups.slice(6).map((group) => Number.parseInt(group, 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/** Eight groups in lower-case hexadecimal without leading zeros. */
function expandIPv6(address: string): string[] {
  // The URL parser writes the last four bytes of a mapped address in hexadecimal, and drops a zone.
  const hostname = URL.parse(`http://[${address.split("%")[0]}]`)?.hostname ?? "[::]";
  const [head = "", tail] = hostname.slice(1, -1).split("::");
  const left = head.split(":").filter((group) => group !== "");
  const right = (tail ?? "").split(":").filter((group) => group !== "");
  const zeros = new Array<string>(Math.max(0, 8 - left.length - right.length)).fill("0");
  return [...left, ...zeros, ...right];
}
