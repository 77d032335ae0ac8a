/** Which pages and which machines a request may come from. */
import type { IncomingMessage } from "node:http";
import { BlockList, isIP } from "node:net";

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/** True for 127.0.0.0/8, ::1 and the IPv4-mapped form of the former. */
export function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false;
  const plain = address.startsWith("::ffff:") ? address.slice(7) : address;
  const family = isIP(plain);
  if (family === 0) return false;
  return LOOPBACK.check(plain, family === 6 ? "ipv6" : "ipv4");
}

/**
 * True when the request comes directly from this machine. One that a proxy
 * passed on does not, wherever the proxy runs.
 */
export function isLocalRequest(request: IncomingMessage): boolean {
  const forwarded = request.headers["x-forwarded-for"] ?? request.headers.forwarded;
  return forwarded === undefined && isLoopback(request.socket.remoteAddress);
}

/**
 * The address that asks. Each trusted proxy appends the address it was asked by
 * to X-Forwarded-For; what stands before those entries may be invented.
 */
export function clientAddress(request: IncomingMessage, trustedProxies: number): string {
  const header = request.headers["x-forwarded-for"];
  const hops = (Array.isArray(header) ? header.join(",") : (header ?? ""))
    .split(",")
    .map((hop) => hop.trim())
    .filter((hop) => hop !== "");
  const trusted = trustedProxies > 0 ? hops.slice(-trustedProxies)[0] : undefined;
  return trusted ?? request.socket.remoteAddress ?? "unknown";
}

/**
 * Browsers do not keep foreign pages from opening WebSockets, so the server
 * compares the page's origin with its own. Programs send no Origin and pass.
 */
export function isAllowedOrigin(request: IncomingMessage, allowedOrigins: string[]): boolean {
  const origin = request.headers.origin;
  if (origin === undefined) return true;
  if (allowedOrigins.includes(origin)) return true;
  const url = URL.parse(origin);
  return url !== null && url.host === request.headers.host;
}
