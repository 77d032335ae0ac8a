/** Wires the parts of a server together and takes them apart again. */
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { loadOffers } from "../config/presets.ts";
import type { Config } from "../config/schema.ts";
import { NoTransforms } from "../domain/no-transforms.ts";
import { RoomManager } from "../domain/room-manager.ts";
import type { TransformService } from "../domain/transform-service.ts";
import { createHttpApp } from "../edges/rest/app.ts";
import { SignalingGateway } from "../edges/socket/gateway.ts";
import { toError } from "../errors.ts";
import { WorkerPool } from "../media/worker-pool.ts";
import { AccessPolicy } from "../security/access.ts";
import { isLoopbackHost } from "../security/hosts.ts";
import { RequestGuard } from "../security/request-guard.ts";
import type { Logger } from "../telemetry/logger.ts";
import { createMetrics, type Metrics } from "../telemetry/metrics.ts";

/** The part of the server that repaints, started and stopped with it. */
export interface Engine {
  transforms: TransformService;
  readonly ready: boolean;
  start(): Promise<void>;
  close(): Promise<void>;
}

export type CreateEngine = (config: Config, logger: Logger, metrics: Metrics) => Engine;

export interface RunningServer {
  /** http://host:port as a person on this machine reaches it. */
  readonly url: string;
  readonly roomUrl: string;
  readonly rooms: RoomManager;
  readonly pool: WorkerPool;
  readonly metrics: Metrics;
  /** Says goodbye to the clients and ends everything. Safe to call twice. */
  close(): Promise<void>;
}

/** Without an engine every transform is refused; everything else works. */
function noEngine(): Engine {
  return {
    transforms: new NoTransforms(),
    ready: true,
    start: async () => undefined,
    close: async () => undefined,
  };
}

/**
 * Starts everything; resolves when rooms can be joined and repainted.
 * @param createEngine undefined for a server that never repaints (tests of the rest).
 * @throws Error that a person can act on; nothing is left running then.
 */
export async function startServer(
  config: Config,
  logger: Logger,
  createEngine: CreateEngine | undefined,
): Promise<RunningServer> {
  const offers = loadOffers(config.presetsFile);
  const metrics = createMetrics();
  const guard = new RequestGuard({
    http: config.http,
    warn: (details, message) => logger.warn(details, message),
  });
  const access = new AccessPolicy(config.auth, {
    isLocalAdmin: (request) => guard.isLocalAdmin(request),
  });
  warnAboutOpenMode(config, logger);

  const pool = await WorkerPool.create(config.sfu, logger, metrics);
  const engine =
    createEngine !== undefined && config.engine.enabled
      ? createEngine(config, logger, metrics)
      : noEngine();
  const { transforms } = engine;
  const rooms = new RoomManager({ config, pool, transforms, logger, metrics });
  const readiness = () => {
    const checks = { media: pool.ready, engine: engine.ready };
    return { ready: checks.media && checks.engine, checks };
  };
  const app = createHttpApp({
    ...{ config, access, guard, rooms, offers, readiness, logger, metrics },
  });
  const httpServer = createServer(app);
  const gateway = new SignalingGateway(httpServer, {
    ...{ config, access, guard, rooms, offers, metrics, logger },
  });

  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= (async () => {
      pool.retire();
      await gateway.close();
      rooms.close();
      await engine.close();
      pool.close();
      httpServer.closeAllConnections();
      if (httpServer.listening) await new Promise((resolve) => httpServer.close(resolve));
    })();
    return closing;
  };

  try {
    const port = await listen(httpServer, config.http);
    await engine.start();
    const url = `http://${urlHost(config.http.host)}:${port}`;
    const roomUrl = `${url}/r/${config.http.defaultRoom}`;
    return { url, roomUrl, rooms, pool, metrics, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function warnAboutOpenMode(config: Config, logger: Logger): void {
  const { host, publicUrl, trustedProxies } = config.http;
  if (config.auth.mode !== "open") return;
  const published = publicUrl === undefined ? host : new URL(publicUrl).hostname;
  if (trustedProxies > 0 || !isLoopbackHost(host) || !isLoopbackHost(published)) {
    logger.warn(
      { host, publicUrl },
      "auth.mode is open: everybody who reaches this address may join",
    );
  }
}

async function listen(server: HttpServer, { host, port }: Config["http"]): Promise<number> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (error) {
    throw listenError(toError(error), host, port);
  }
  return (server.address() as AddressInfo).port;
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const advice = {
    EADDRINUSE: `port ${port} is taken by another program`,
    EACCES: `this user may not use port ${port}`,
    EADDRNOTAVAIL: `this machine has no address ${host}`,
  }[error.code ?? ""];
  return new Error(
    `Cannot listen on ${host}:${port}: ${advice ?? error.message}. ` +
      "Set http.host and http.port (DRIFTLESS__HTTP__HOST, DRIFTLESS__HTTP__PORT) to others.",
    { cause: error },
  );
}

/** 0.0.0.0 is no address to open in a browser. */
function urlHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "localhost";
  return host.includes(":") ? `[${host}]` : host;
}
