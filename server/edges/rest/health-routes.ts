/** For probes and Prometheus. */
import { Router } from "express";
import type { Metrics } from "../../telemetry/metrics.ts";

export interface Readiness {
  /** True when a room can be joined and, where an engine runs, repainted. */
  ready: boolean;
  checks: Record<string, boolean>;
}

export function healthRoutes(deps: { readiness: () => Readiness; metrics: Metrics }): Router {
  const router = Router();
  router.get("/healthz", (_request, response) => {
    response.json({ status: "ok" });
  });
  router.get("/readyz", (_request, response) => {
    const readiness = deps.readiness();
    response.status(readiness.ready ? 200 : 503).json(readiness);
  });
  router.get("/metrics", async (_request, response) => {
    response.type(deps.metrics.registry.contentType).send(await deps.metrics.registry.metrics());
  });
  return router;
}
