/** Why an engine takes no session: who asks can tell "full" from "broken", and knows when to ask again. */
import { DriftlessError, toError } from "../errors.ts";
import type { PlaceLimit } from "./admission.ts";
import { OpeningError } from "./remote-session.ts";

/** There are engines, and all their places are taken: ask again when places become free. */
export class EngineFullError extends DriftlessError {
  /** Which limit binds. */
  readonly limit: PlaceLimit;

  constructor(limit: PlaceLimit, message: string, options?: ErrorOptions) {
    super("ENGINE_FULL", message, options);
    this.limit = limit;
  }
}

/**
 * ENGINE_UNAVAILABLE: no engine is up, or it broke while it was asked. ENGINE_REFUSED: it does not take
 * what it was asked.
 */
export class EngineUnavailableError extends DriftlessError {
  /** A good time to ask again; null when the same question will get the same answer. */
  readonly retryAfterMs: number | null;

  constructor(message: string, retryAfterMs: number | null, options?: ErrorOptions) {
    super(retryAfterMs === null ? "ENGINE_REFUSED" : "ENGINE_UNAVAILABLE", message, options);
    this.retryAfterMs = retryAfterMs;
  }
}

/** What a failed opening is to who asked for it. @param retryAfterMs where asking again may help */
export function refusalOf(error: unknown, retryAfterMs: number): DriftlessError {
  if (error instanceof DriftlessError) {
    return error;
  }
  const cause = toError(error);
  const code = error instanceof OpeningError ? error.code : "broken";
  const message = `The engine refused: ${cause.message}.`;
  if (code === "full" || code === "memory") {
    return new EngineFullError(code === "full" ? "maxSessions" : "memory", message, { cause });
  }
  return new EngineUnavailableError(message, code === "refused" ? null : retryAfterMs, { cause });
}
