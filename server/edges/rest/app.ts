/** The HTTP side: health, metrics, REST and the web page. */
import express, { type ErrorRequestHandler, type Express } from "express";
import type { Offers } from "../../config/presets.ts";
import type { Config } from "../../config/schema.ts";
import type { Rooms } from "../../domain/rooms.ts";
import { DriftlessError, toErrorBody } from "../../errors.ts";
import type { AccessPolicy } from "../../security/access.ts";
import { securityHeaders } from "../../security/headers.ts";
import { RateLimit } from "../../security/rate-limit.ts";
import type { RequestGuard } from "../../security/request-guard.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Transforms } from "../../transform/service.ts";
import { checkOrigin, corsHeaders } from "./cors.ts";
import { healthRoutes, type Readiness } from "./health-routes.ts";
import { metricsRoute } from "./metrics-route.ts";
import { pageRoutes } from "./page-routes.ts";
import { roomRoutes } from "./room-routes.ts";
import { tokenRoutes } from "./token-routes.ts";
import { transformRoutes } from "./transform-routes.ts";

export interface HttpDeps {
  config: Config;
  access: AccessPolicy;
  guard: RequestGuard;
  rooms: Rooms;
  transforms: Transforms;
  /** How often one participant's look may be changed. */
  lookRate: RateLimit;
  offers: Offers;
  readiness: () => Readiness;
  logger: Logger;
  metrics: Metrics;
}

const MAX_BODY_BYTES = 16_384;

export function createHttpApp(deps: HttpDeps): Express {
  const { config, guard, metrics } = deps;
  const app = express();
  app.disable("x-powered-by");
  app.use(securityHeaders());
  app.use((request, response, next) => {
    response.on("finish", () => {
      const status = `${Math.floor(response.statusCode / 100)}xx`;
      metrics.httpRequests.inc({ method: knownMethod(request.method), status });
    });
    next();
  });
  // Before the rate limit and the check of the host: a probe must not be refused because somebody
  // else asks too much, and asks by whatever address it knows.
  app.use(healthRoutes(deps));
  app.use((request, _response, next) => {
    guard.checkHost(request);
    next();
  });
  app.use("/api", corsHeaders(guard));

  const rate = new RateLimit("requests", config.limits.httpRequestsPerMinute, 60);
  app.use(async (request, _response, next) => {
    await rate.take(guard.limitKey(request));
    next();
  });
  app.use(metricsRoute(deps));
  app.use("/api", checkOrigin(guard));
  app.use("/api", express.json({ limit: MAX_BODY_BYTES, strict: true }));
  app.get("/api/presets", (_request, response) => {
    response.json(deps.offers);
  });
  app.use("/api/tokens", tokenRoutes(deps));
  app.use("/api/rooms", roomRoutes(deps));
  app.use("/api/rooms", transformRoutes(deps));
  app.use(pageRoutes(config.http.staticDir));
  app.use((request) => {
    throw new DriftlessError("NOT_FOUND", `There is nothing at ${request.method} ${request.path}.`);
  });
  app.use(errorHandler(deps.logger));
  return app;
}

/** Label values must stay few, whatever a client invents. */
function knownMethod(method: string): string {
  return ["GET", "HEAD", "POST", "PUT", "DELETE"].includes(method) ? method : "other";
}

/** All errors are JSON {error: {code, message}} with the code's status. */
function errorHandler(logger: Logger): ErrorRequestHandler {
  return (thrown: unknown, request, response, next) => {
    if (response.headersSent) {
      next(thrown);
      return;
    }
    const known = thrown instanceof DriftlessError ? thrown : fromExpress(thrown);
    if (known === undefined) logger.error({ err: thrown, path: request.path }, "request failed");
    response.status(known?.status ?? 500).json({ error: toErrorBody(known ?? thrown) });
  };
}

/** Errors of the body parser and of the static files carry a status below 500. */
function fromExpress(thrown: unknown): DriftlessError | undefined {
  if (typeof thrown !== "object" || thrown === null || !("status" in thrown)) return undefined;
  const { status } = thrown;
  if (status === 413) {
    return new DriftlessError(
      "MESSAGE_TOO_LARGE",
      `Expected a body of at most ${MAX_BODY_BYTES} bytes.`,
    );
  }
  if (status === 404) return new DriftlessError("NOT_FOUND", "There is no such file.");
  if (typeof status !== "number" || status < 400 || status >= 500) return undefined;
  return new DriftlessError("INVALID_REQUEST", "The request cannot be read: expected valid JSON.");
}
