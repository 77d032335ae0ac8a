/**
 * What reverse proxies write into requests: the de facto X-Forwarded-* and the standard Forwarded
 * (RFC 7239). Anybody may write such headers, so only those of trusted proxies are believed, and any of
 * them is reason enough not to take a request for one of this machine's own.
 */
import type { IncomingMessage } from "node:http";

/** Headers that proxies, load balancers and tunnels add. */
const PROXY_HEADERS =
  /^(forwarded|via|x-forwarded(-.+)?|x-real-ip|x-client-ip|x-cluster-client-ip|x-original-.+|true-client-ip|fastly-client-ip|cf-.+|x-envoy-.+|x-amzn-.+|x-azure-.+|x-arr-.+|cdn-loop)$/;

/**
 * What shows that a proxy passed the request on; undefined where nothing does.
 *
 * Some proxies add no header at all. nginx as it comes asks in HTTP/1.0; its recipes for WebSockets
 * ask with "Connection: upgrade" without an Upgrade, or with "Connection: close". Browsers, curl and
 * fetch do none of these.
 */
export function signOfProxy(request: IncomingMessage): string | undefined {
  const header = Object.keys(request.headers).find((name) => PROXY_HEADERS.test(name));
  if (header !== undefined) return header;
  if (request.httpVersion === "1.0") return "HTTP/1.0";
  const connection = (request.headers.connection ?? "").toLowerCase();
  if (connection.includes("upgrade") && request.headers.upgrade === undefined) {
    return "connection: upgrade";
  }
  return connection.includes("close") ? "connection: close" : undefined;
}

/** The addresses in X-Forwarded-For, or else in Forwarded, nearest last. */
export function forwardedFor(request: IncomingMessage): string[] {
  const hops = list(request.headers["x-forwarded-for"]);
  return hops.length > 0 ? hops : parameters(request, "for");
}

/**
 * Hosts that browsers asked for, as the trusted proxies tell: X-Forwarded-Host and Forwarded's host, and
 * with X-Forwarded-Port where a host has none. Empty where no proxy is trusted.
 */
export function forwardedHosts(request: IncomingMessage, trustedProxies: number): string[] {
  if (trustedProxies === 0) return [];
  const hosts = [list(request.headers["x-forwarded-host"]), parameters(request, "host")].flatMap(
    (told) => told.slice(-trustedProxies).slice(0, 1),
  );
  const port = list(request.headers["x-forwarded-port"]).slice(-trustedProxies)[0];
  if (port === undefined || !/^\d{1,5}$/.test(port)) return hosts;
  const bare = [...hosts, request.headers.host ?? ""].filter((host) =>
    /^(\[.*\]|[^:]+)$/.test(host),
  );
  return [...hosts, ...bare.map((host) => `${host}:${port}`)];
}

/** Whether the headers are there that a trusted proxy writes. */
export function cameByTrustedProxy(request: IncomingMessage, trustedProxies: number): boolean {
  return trustedProxies > 0 && forwardedFor(request).length >= trustedProxies;
}

function list(header: string | string[] | undefined): string[] {
  return (Array.isArray(header) ? header.join(",") : (header ?? ""))
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}

/** RFC 7239 4: Forwarded: for="[2001:db8::1]:4711";host=a.example, for=192.0.2.1 */
function parameters(request: IncomingMessage, name: string): string[] {
  const elements = list(request.headers.forwarded);
  return elements.flatMap((element) => {
    for (const pair of element.split(";")) {
      const [key = "", value = ""] = pair.split("=", 2);
      if (key.trim().toLowerCase() === name) return [value.trim().replace(/^"(.*)"$/, "$1")];
    }
    return [];
  });
}
