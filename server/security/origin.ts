/**
 * Which pages may ask. Browsers do not keep foreign pages from opening WebSockets or sending simple
 * requests, so the server compares the page's origin (RFC 6454) with its own addresses.
 */
import type { IncomingMessage } from "node:http";
import { originKey, parseAuthority, parseOrigin } from "./authority.ts";
import { forwardedHosts } from "./forwarding.ts";

export interface OriginRules {
  publicUrl: string | undefined;
  allowedOrigins: readonly string[];
  trustedProxies: number;
}

/**
 * none: a program, or a browser's same-origin GET, which carries no Origin.
 * own: a page of this server. allowed: one of http.allowedOrigins, which needs CORS. foreign: refused.
 */
export type OriginKind = "none" | "own" | "allowed" | "foreign";

export function createOriginCheck(rules: OriginRules): (request: IncomingMessage) => OriginKind {
  const allowed = new Set(rules.allowedOrigins.map(originKey));
  const published = rules.publicUrl === undefined ? undefined : originKey(rules.publicUrl);

  return (request) => {
    const { origin: text } = request.headers;
    if (text === undefined) return "none";
    if (originKey(text) === published) return "own";
    // Sandboxed frames and files say "null": any of them, so it is nobody's.
    const origin = parseOrigin(text);
    const asked = [request.headers.host, ...forwardedHosts(request, rules.trustedProxies)];
    const own = asked.some((host) => {
      if (origin === undefined) return false;
      const authority = parseAuthority(host, origin.scheme);
      return authority?.hostname === origin.hostname && authority.port === origin.port;
    });
    if (own) return "own";
    return text !== "null" && allowed.has(originKey(text)) ? "allowed" : "foreign";
  };
}

/** Origins as browsers write them, for those who compare texts. */
export function writtenOrigins(origins: readonly string[]): string[] {
  // "null", the origin of URLs such as "capacitor://localhost", must never get into such a list.
  return origins.map((text) => (parseOrigin(text) === undefined ? text : new URL(text).origin));
}
