/** The web page: one document for the lobby and for every room. */
import { existsSync } from "node:fs";
import path from "node:path";
import express, { Router } from "express";

export function pageRoutes(staticDir: string): Router {
  const router = Router();
  const page = path.join(staticDir, "index.html");
  // Built files carry a hash in their name and never change.
  router.use(
    "/assets",
    express.static(path.join(staticDir, "assets"), { immutable: true, maxAge: "1y" }),
  );
  // Pictures on buttons change with the model, not with the minute.
  router.use("/presets", express.static(path.join(staticDir, "presets"), { maxAge: "1d" }));
  router.use(express.static(staticDir, { index: false }));
  router.get(["/", "/r/:roomId"], (_request, response) => {
    if (!existsSync(page)) {
      response
        .status(503)
        .type("text/plain")
        .send(`The web page is not built yet: expected ${page}. "npm start" builds it.\n`);
      return;
    }
    response.sendFile(page, { headers: { "Cache-Control": "no-cache" } });
  });
  return router;
}
