/** Hosts and origins in the one form in which they can be compared. */

/** A host as URLs have it: lower case, Punycode, canonical addresses, IPv6 in brackets, no last dot. */
export interface Authority {
  hostname: string;
  /** The scheme's own where none is written. */
  port: number;
}

const DEFAULT_PORTS: Record<string, number> = { "http:": 80, "https:": 443 };

/**
 * Reads what a Host header holds ("Meet.Example.ORG.:443", "[::1]:3000").
 * @param scheme decides which port is meant where none is written.
 * @returns undefined for what is no host, or more than a host.
 */
export function parseAuthority(
  text: string | undefined,
  scheme: "http:" | "https:",
): Authority | undefined {
  if (text === undefined || text === "" || /[/\\?#@\s]/.test(text)) return undefined;
  return authorityOf(URL.parse(`${scheme}//${text}`));
}

/** An origin's scheme and host; undefined for "null", other schemes and nonsense (RFC 6454 7). */
export function parseOrigin(
  text: string,
): (Authority & { scheme: "http:" | "https:" }) | undefined {
  const url = URL.parse(text);
  const authority = authorityOf(url);
  if (url === null || authority === undefined) return undefined;
  return { ...authority, scheme: url.protocol as "http:" | "https:" };
}

/** The same text for origins that are the same, for sets of allowed ones. */
export function originKey(text: string): string {
  const origin = parseOrigin(text);
  // Applications have origins such as "capacitor://localhost", which no URL parser normalises.
  if (origin === undefined) return text.toLowerCase().replace(/\/$/, "");
  return `${origin.scheme}//${origin.hostname}:${origin.port}`;
}

function authorityOf(url: URL | null): Authority | undefined {
  const standard = DEFAULT_PORTS[url?.protocol ?? ""];
  if (url === null || standard === undefined) return undefined;
  const hostname = url.hostname.replace(/\.$/, "");
  if (hostname === "") return undefined;
  return { hostname, port: url.port === "" ? standard : Number(url.port) };
}
