/** For probes. */
import { Router } from "express";

export interface Readiness {
  /** True when a room can be joined. */
  ready: boolean;
  checks: Record<string, boolean>;
  /** Parts that do less than they should, while the whole is ready. */
  degraded: string[];
}

export function healthRoutes(deps: { readiness: () => Readiness }): Router {
  const router = Router();
  router.get("/healthz", (_request, response) => {
    response.json({ status: "ok" });
  });
  router.get("/readyz", (_request, response) => {
    const readiness = deps.readiness();
    response.status(readiness.ready ? 200 : 503).json(readiness);
  });
  return router;
}
