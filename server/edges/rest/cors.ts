/**
 * Lets the pages of http.allowedOrigins read the answers of REST (Fetch standard, "CORS protocol").
 * Callers are known by a bearer token, never by a cookie, so credentials are not allowed.
 */
import type { RequestHandler } from "express";
import type { RequestGuard } from "../../security/request-guard.ts";

const METHODS = "GET, POST, PUT, PATCH, DELETE";
const HEADERS = "authorization, content-type";
/** How long a browser may remember a preflight's answer. */
const MAX_AGE_SECONDS = 600;

/** Sets the headers; put it before what may refuse, so that a page can read the refusal too. */
export function corsHeaders(guard: RequestGuard): RequestHandler {
  return (request, response, next) => {
    // Caches must not give the answer for one origin to another.
    response.vary("Origin");
    if (guard.originKind(request) === "allowed") {
      response.set("Access-Control-Allow-Origin", request.headers.origin);
    }
    next();
  };
}

/** Refuses foreign pages and answers preflights. */
export function checkOrigin(guard: RequestGuard): RequestHandler {
  return (request, response, next) => {
    guard.checkOrigin(request);
    const asked = request.headers["access-control-request-method"];
    if (request.method !== "OPTIONS" || asked === undefined) {
      next();
      return;
    }
    response.set("Access-Control-Allow-Methods", METHODS);
    response.set("Access-Control-Allow-Headers", HEADERS);
    response.set("Access-Control-Max-Age", String(MAX_AGE_SECONDS));
    response.status(204).end();
  };
}
