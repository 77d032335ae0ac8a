/** For Prometheus: what this server counts, for those who may know how busy it is. */
import { type Request, Router } from "express";
import type { Config } from "../../config/schema.ts";
import { DriftlessError } from "../../errors.ts";
import type { RequestGuard } from "../../security/request-guard.ts";
import { isSameSecret } from "../../security/secrets.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { bearerOf } from "./caller.ts";

export interface MetricsRouteDeps {
  config: Pick<Config, "metrics">;
  guard: RequestGuard;
  metrics: Metrics;
}

export function metricsRoute({ config, guard, metrics }: MetricsRouteDeps): Router {
  const router = Router();
  router.get("/metrics", async (request, response) => {
    if (!config.metrics.public && !guard.isDirect(request)) {
      requireToken(request, config.metrics.token);
    }
    response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  return router;
}

/** @throws DriftlessError FORBIDDEN, TOKEN_MISSING, TOKEN_INVALID. */
function requireToken(request: Request, expected: string | undefined): void {
  if (expected === undefined) {
    throw new DriftlessError(
      "FORBIDDEN",
      "Metrics are for this machine, asked without a proxy in between. Set metrics.token to read them from others.",
    );
  }
  const given = bearerOf(request);
  if (given === undefined) {
    throw new DriftlessError("TOKEN_MISSING", "Expected Authorization: Bearer with metrics.token.");
  }
  if (!isSameSecret(given, expected)) {
    throw new DriftlessError("TOKEN_INVALID", "This is not the metrics.token of this server.");
  }
}
