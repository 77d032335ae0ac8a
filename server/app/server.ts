/** Wires the parts of a server together and takes them apart again. */
import { randomBytes } from "node:crypto";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { v7 as uuidv7 } from "uuid";
import { loadOffers } from "../config/presets.ts";
import type { Config } from "../config/schema.ts";
import { Memberships } from "../domain/memberships.ts";
import { Rooms } from "../domain/rooms.ts";
import { schedule } from "../domain/schedule.ts";
import { createHttpApp } from "../edges/rest/app.ts";
import { SignalingGateway } from "../edges/socket/gateway.ts";
import { toError } from "../errors.ts";
import { MediaService } from "../media/media-service.ts";
import { WorkerPool } from "../media/worker-pool.ts";
import { AccessPolicy } from "../security/access.ts";
import { isLoopbackHost } from "../security/hosts.ts";
import { RateLimit } from "../security/rate-limit.ts";
import { RequestGuard } from "../security/request-guard.ts";
import { concerns } from "../security/revocations.ts";
import { reportListenerErrors } from "../telemetry/listener-errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import { createMetrics, type Metrics } from "../telemetry/metrics.ts";
import { NoTransforms } from "../transform/service.ts";
import type { CreateEngine, Engine, EngineDeps } from "./engine.ts";

export interface RunningServer {
  /** http://host:port as a person on this machine reaches it. */
  readonly url: string;
  readonly roomUrl: string;
  readonly rooms: Rooms;
  readonly media: MediaService;
  readonly pool: WorkerPool;
  readonly metrics: Metrics;
  /**
   * Takes nobody in any more, tells those who are in, and waits until they have left, at most for
   * limits.drainSeconds.
   */
  drain(): Promise<void>;
  /** Says goodbye to the clients and ends everything. Safe to call twice. */
  close(): Promise<void>;
}

/** Without an engine every transform is refused; everything else works. */
function noEngine({ rooms }: EngineDeps): Engine {
  return {
    transforms: new NoTransforms(rooms),
    ready: true,
    degraded: false,
    drain: () => undefined,
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
  const onListenerError = reportListenerErrors(logger, metrics);
  warnAboutOpenMode(config, logger);

  const pool = await WorkerPool.create(config.sfu, logger, metrics);
  const { limits } = config;
  const rooms = new Rooms({
    ...config.rooms,
    maxRooms: limits.maxRooms,
    maxParticipantsPerRoom: limits.maxParticipantsPerRoom,
    maxPreviewsPerAddress: limits.maxPreviewsPerAddress,
    nowMs: Date.now,
    schedule,
    onListenerError,
  });
  followMetrics(rooms, metrics, logger);
  const memberships = new Memberships({
    rooms,
    graceSeconds: limits.reconnectGraceSeconds,
    resumeSeconds: limits.resumeSeconds,
    nowMs: Date.now,
    schedule,
    newSecret: () => randomBytes(24).toString("base64url"),
    newId: uuidv7,
  });
  const media = new MediaService({
    rooms,
    pool,
    config: config.sfu,
    logger,
    metrics,
    schedule,
    onListenerError,
  });
  access.onRevoked((revocation) =>
    memberships.expel(
      ({ token }) => token !== undefined && concerns(revocation, token),
      "the right to be here was taken back",
    ),
  );
  // A burst at once, and over time no more than so many a minute.
  const lookRate = new RateLimit(
    "changes of the look",
    limits.promptChangesBurst,
    (60 * limits.promptChangesBurst) / limits.promptChangesPerMinute,
  );
  const engineDeps = { config, rooms, media, logger, metrics };
  const engine =
    createEngine !== undefined && config.engine.enabled
      ? createEngine(engineDeps)
      : noEngine(engineDeps);
  const { transforms } = engine;
  const readiness = () => {
    const checks = { media: pool.ready, engine: engine.ready, admitting: !rooms.draining };
    // An engine that restarts keeps nobody from joining, so it does not take the server out.
    const degraded = engine.degraded ? ["engine"] : [];
    return { ready: Object.values(checks).every(Boolean), checks, degraded };
  };
  const app = createHttpApp({
    ...{ config, access, guard, rooms, transforms, lookRate },
    ...{ offers, readiness, logger, metrics },
  });
  const httpServer = createServer(app);
  const gateway = new SignalingGateway(httpServer, {
    ...{ config, access, guard, rooms, memberships, media, transforms, lookRate },
    ...{ offers, metrics, logger },
    nowMs: Date.now,
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
  const drain = async () => {
    rooms.drain();
    engine.drain();
    gateway.drain(limits.drainSeconds);
    const endMs = performance.now() + limits.drainSeconds * 1000;
    while (rooms.all.some((room) => room.size > 0) && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_CHECK_MS));
    }
  };

  try {
    const port = await listen(httpServer, config.http);
    await engine.start();
    const url = `http://${urlHost(config.http.host)}:${port}`;
    const roomUrl = `${url}/r/${config.http.defaultRoom}`;
    return { url, roomUrl, rooms, media, pool, metrics, drain, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const DRAIN_CHECK_MS = 100;

function followMetrics(rooms: Rooms, metrics: Metrics, logger: Logger): void {
  rooms.on("opened", (room) => {
    metrics.rooms.inc();
    const log = logger.child({ roomId: room.id });
    room.on("joined", ({ id: participantId }) => {
      metrics.participants.inc();
      log.info({ participantId }, "participant joined");
    });
    room.on("left", ({ id: participantId }, reason) => {
      metrics.participants.dec();
      log.info({ participantId, reason }, "participant left");
    });
  });
  rooms.on("closed", () => metrics.rooms.dec());
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
