/**
 * What both edges ask before they listen to a request: which host it was sent to, which page sent it,
 * from which address it comes, and whether it comes straight from this machine.
 */
import type { IncomingMessage } from "node:http";
import { hostname } from "node:os";
import type { Config } from "../config/schema.ts";
import { DriftlessError } from "../errors.ts";
import { clientAddress, isLoopback, limitKey } from "./addresses.ts";
import { parseAuthority, parseOrigin } from "./authority.ts";
import { cameByTrustedProxy, forwardedHosts, signOfProxy } from "./forwarding.ts";
import { createHostCheck, isLoopbackHost } from "./hosts.ts";
import { createOriginCheck, type OriginKind } from "./origin.ts";

/** An operator needs one line that names the setting, not one for each try of each browser. */
const WARN_EVERY_MS = 60_000;
/** Of what strangers sent, in messages and log lines. */
const SHOWN_CHARS = 120;

export interface RequestGuardOptions {
  http: Pick<
    Config["http"],
    "host" | "publicUrl" | "trustedProxies" | "allowedOrigins" | "allowedHosts"
  >;
  warn: (details: Record<string, unknown>, message: string) => void;
  nowMs?: () => number;
  machineName?: string;
}

export class RequestGuard {
  readonly #options: RequestGuardOptions;
  readonly #knowsHost: (host: string | undefined) => boolean;
  readonly #originKind: (request: IncomingMessage) => OriginKind;
  readonly #warnings = new Map<string, { atMs: number; unsaid: number }>();

  constructor(options: RequestGuardOptions) {
    const { host, publicUrl, trustedProxies, allowedOrigins, allowedHosts } = options.http;
    this.#options = options;
    this.#knowsHost = createHostCheck({
      listenHost: host,
      publicUrl,
      allowedHosts,
      machineName: options.machineName ?? hostname(),
    });
    this.#originKind = createOriginCheck({ publicUrl, allowedOrigins, trustedProxies });
  }

  /**
   * Refuses a request to a name that nobody stands for. Where proxies are trusted and neither
   * http.publicUrl nor http.allowedHosts names the hosts, those that the proxies hand on are believed.
   * @throws DriftlessError HOST_NOT_ALLOWED that names the settings.
   */
  checkHost(request: IncomingMessage): void {
    const { host } = request.headers;
    if (this.#knowsHost(host)) return;
    const { publicUrl, allowedHosts, trustedProxies } = this.#options.http;
    const unnamed = publicUrl === undefined && allowedHosts.length === 0;
    if (unnamed && host !== undefined && cameByTrustedProxy(request, trustedProxies)) return;
    const asked = shown(host ?? "");
    this.#warn(
      "host",
      { host: asked },
      "a request to an unknown host was refused: name it in http.publicUrl or http.allowedHosts if it is this server's",
    );
    throw new DriftlessError(
      "HOST_NOT_ALLOWED",
      `This server does not go by the name "${asked}". Its operator can name it in http.publicUrl or http.allowedHosts.`,
    );
  }

  /** Where the page that asks is from. */
  originKind(request: IncomingMessage): OriginKind {
    return this.#originKind(request);
  }

  /** @throws DriftlessError ORIGIN_NOT_ALLOWED that names the settings. */
  checkOrigin(request: IncomingMessage): void {
    if (this.#originKind(request) !== "foreign") return;
    const { trustedProxies } = this.#options.http;
    const origin = shown(request.headers.origin ?? "");
    const asked = [request.headers.host ?? "", ...forwardedHosts(request, trustedProxies)];
    this.#warn(
      "origin",
      { origin, hosts: [...new Set(asked.map(shown))] },
      "a page of another origin was refused: if browsers find this server there, set http.publicUrl to it (or http.trustedProxies, when a proxy sends X-Forwarded-Host); if it is another site that may connect, add it to http.allowedOrigins",
    );
    throw new DriftlessError(
      "ORIGIN_NOT_ALLOWED",
      `This server does not expect pages from ${origin}. Its operator has to set http.publicUrl to this address, or name it in http.allowedOrigins.`,
    );
  }

  /** What limits count a request by: the client's address, which trusted proxies hand on. */
  limitKey(request: IncomingMessage): string {
    return limitKey(clientAddress(request, this.#options.http.trustedProxies));
  }

  /**
   * True when the request comes straight from a program on this machine: from loopback, to a loopback
   * host, and without a sign of a proxy, wherever that runs.
   */
  isDirect(request: IncomingMessage): boolean {
    if (!isLoopback(request.socket.remoteAddress)) return false;
    const host = parseAuthority(request.headers.host, "http:");
    return (
      host !== undefined && isLoopbackHost(host.hostname) && signOfProxy(request) === undefined
    );
  }

  /**
   * Whether the request may administer without a token (auth.mode open). Never behind a proxy: not
   * every proxy can be told from a program of this machine.
   */
  isLocalAdmin(request: IncomingMessage): boolean {
    const { publicUrl, trustedProxies } = this.#options.http;
    if (trustedProxies > 0) return false;
    const published = publicUrl === undefined ? undefined : parseOrigin(publicUrl);
    if (publicUrl !== undefined && !isLoopbackHost(published?.hostname ?? "")) return false;
    return this.isDirect(request);
  }

  #warn(kind: string, details: Record<string, unknown>, message: string): void {
    const nowMs = (this.#options.nowMs ?? (() => performance.now()))();
    const last = this.#warnings.get(kind);
    if (last !== undefined && nowMs - last.atMs < WARN_EVERY_MS) {
      last.unsaid++;
      return;
    }
    this.#warnings.set(kind, { atMs: nowMs, unsaid: 0 });
    const before = last === undefined || last.unsaid === 0 ? {} : { refusedBefore: last.unsaid };
    this.#options.warn({ ...details, ...before }, message);
  }
}

function shown(text: string): string {
  return text.slice(0, SHOWN_CHARS);
}
