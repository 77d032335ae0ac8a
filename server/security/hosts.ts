/**
 * Which names this server may be asked by. A page of a foreign name whose DNS entry is changed to this
 * machine's address (DNS rebinding) is of the same origin for the browser and could do all that a
 * program here may, so names are accepted only where somebody stands for them. Addresses in a Host
 * header are no risk: nobody can rebind them.
 */
import { isIP } from "node:net";
import { isLoopback } from "./addresses.ts";
import { parseAuthority, parseOrigin } from "./authority.ts";

export interface HostRules {
  /** Address or name that the server listens on. */
  listenHost: string;
  publicUrl: string | undefined;
  /** Names; ".example.org" stands for the domain and all below it. */
  allowedHosts: readonly string[];
  /** os.hostname(). */
  machineName: string;
}

/** Without IPv6's brackets, as addresses are compared. */
function bare(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

/** localhost, names below it (RFC 6761 6.3: never asked of DNS), and loopback addresses. */
export function isLoopbackHost(hostname: string): boolean {
  const name = bare(hostname).toLowerCase().replace(/\.$/, "");
  return name === "localhost" || name.endsWith(".localhost") || isLoopback(name);
}

/** Answers whether a Host header may stand in a request to this server. */
export function createHostCheck(rules: HostRules): (host: string | undefined) => boolean {
  const listensOnLoopback = isLoopbackHost(rules.listenHost);
  const names = new Set<string>();
  const suffixes: string[] = [];
  const own = [rules.listenHost, rules.machineName, `${rules.machineName}.local`];
  for (const entry of [...rules.allowedHosts, ...(listensOnLoopback ? [] : own)]) {
    const written = isIP(entry) === 6 ? `[${entry}]` : entry.replace(/^\./, "");
    const name = parseAuthority(written, "http:")?.hostname;
    if (name === undefined) continue;
    names.add(name);
    if (entry.startsWith(".")) suffixes.push(`.${name}`);
  }
  const published = rules.publicUrl === undefined ? undefined : parseOrigin(rules.publicUrl);
  if (published !== undefined) names.add(published.hostname);

  return (host) => {
    const hostname = parseAuthority(host, "http:")?.hostname;
    if (hostname === undefined) return false;
    if (isLoopbackHost(hostname) || names.has(hostname)) return true;
    if (suffixes.some((suffix) => hostname.endsWith(suffix))) return true;
    // Who reaches a server on loopback by another address came through something that was not told us.
    return !listensOnLoopback && isIP(bare(hostname)) !== 0;
  };
}
