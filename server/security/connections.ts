/**
 * Bounds on signalling connections, held before the handshake: a connection that is refused costs
 * neither a WebSocket nor a session.
 */
import type { Server as HttpServer, IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { LimitsConfig } from "../config/schema.ts";
import { DriftlessError, type ErrorCode, toErrorBody } from "../errors.ts";
import { RateLimit } from "./rate-limit.ts";
import type { RequestGuard } from "./request-guard.ts";

/** How many connections an address has, and how fast it makes them. */
export class ConnectionLimits {
  readonly #rate: RateLimit;
  readonly #max: number;
  readonly #open = new Map<string, number>();

  constructor(limits: Pick<LimitsConfig, "connectionsPerMinute" | "maxConnectionsPerAddress">) {
    this.#rate = new RateLimit("connections", limits.connectionsPerMinute, 60);
    this.#max = limits.maxConnectionsPerAddress;
  }

  /** @throws DriftlessError RATE_LIMITED, TOO_MANY_CONNECTIONS. */
  async admit(key: string): Promise<void> {
    if ((this.#open.get(key) ?? 0) >= this.#max) {
      throw new DriftlessError(
        "TOO_MANY_CONNECTIONS",
        `Expected at most ${this.#max} connections of one address at the same time (limits.maxConnectionsPerAddress).`,
      );
    }
    await this.#rate.take(key);
  }

  /** Counts a connection until the returned function is called, once. */
  opened(key: string): () => void {
    this.#open.set(key, (this.#open.get(key) ?? 0) + 1);
    return () => {
      const left = (this.#open.get(key) ?? 0) - 1;
      if (left > 0) this.#open.set(key, left);
      else this.#open.delete(key);
    };
  }
}

/** The part of engine.io's server that is needed here. */
export interface EngineServer {
  on(event: "connection", listener: (connection: EngineConnection) => void): unknown;
}
interface EngineConnection {
  readonly request: IncomingMessage;
  once(event: "close", listener: () => void): unknown;
}

export interface HandshakeGuardOptions {
  /** Where socket.io answers. */
  path: string;
  guard: RequestGuard;
  limits: ConnectionLimits;
  /** For metrics. */
  onRefused?: (code: ErrorCode) => void;
}

/**
 * Puts itself before socket.io on an HTTP server: what is refused gets the status of its code and the
 * JSON that REST answers with, which engine.io itself cannot. Call it after socket.io was attached.
 *
 * A WebSocket of a foreign page passes: browsers hide an HTTP answer from it, so the gateway refuses
 * its namespace instead (guard.checkOrigin), with a sentence that the page can show.
 */
export function guardHandshakes(
  server: HttpServer,
  engine: EngineServer,
  { path, guard, limits, onRefused }: HandshakeGuardOptions,
): void {
  const concerns = (request: IncomingMessage) => request.url?.startsWith(path) ?? false;
  const check = async (request: IncomingMessage) => {
    guard.checkHost(request);
    if (request.headers.upgrade === undefined) guard.checkOrigin(request);
    // Only the first request of a connection has no session id; a preflight opens none.
    const query = new URLSearchParams(request.url?.split("?", 2)[1]);
    if (request.method === "GET" && !query.has("sid")) await limits.admit(guard.limitKey(request));
  };
  const refusal = (error: unknown) => {
    const body = toErrorBody(error);
    onRefused?.(body.code);
    const status = error instanceof DriftlessError ? error.status : 500;
    return { status, json: JSON.stringify({ error: body }) };
  };

  intercept(server, "request", concerns, check, (error, _request, response: ServerResponse) => {
    const { status, json } = refusal(error);
    response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store" });
    response.end(json);
  });
  intercept(server, "upgrade", concerns, check, (error, _request, socket: Duplex) => {
    const { status, json } = refusal(error);
    socket.on("error", () => socket.destroy());
    socket.end(
      `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${Buffer.byteLength(json)}\r\n\r\n${json}`,
    );
  });
  engine.on("connection", (connection) => {
    connection.once("close", limits.opened(guard.limitKey(connection.request)));
  });
}

type Listener<R> = (request: IncomingMessage, response: R, ...rest: unknown[]) => void;

/** Lets the listeners that are there see a request only when it passed the check. */
function intercept<R>(
  server: HttpServer,
  event: "request" | "upgrade",
  concerns: (request: IncomingMessage) => boolean,
  check: (request: IncomingMessage) => Promise<void>,
  refuse: (error: unknown, ...args: Parameters<Listener<R>>) => void,
): void {
  const listeners = server.listeners(event) as Listener<R>[];
  server.removeAllListeners(event);
  server.on(event, (...args: Parameters<Listener<R>>) => {
    const pass = () => {
      for (const listener of listeners) listener.call(server, ...args);
    };
    if (concerns(args[0])) check(args[0]).then(pass, (error: unknown) => refuse(error, ...args));
    else pass();
  });
}
