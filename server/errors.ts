import type { z } from "zod";

/**
 * Every error a client can be told about. The code is stable and meant for
 * programs, the message is one sentence meant for a person.
 */
export const ERROR_STATUS = {
  INVALID_MESSAGE: 400,
  INVALID_REQUEST: 400,
  TOKEN_MISSING: 401,
  TOKEN_INVALID: 401,
  TOKEN_EXPIRED: 401,
  TOKEN_WRONG_ROOM: 403,
  IDENTITY_MISMATCH: 403,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  ROOM_NOT_FOUND: 404,
  PARTICIPANT_NOT_FOUND: 404,
  IDENTITY_IN_USE: 409,
  NOT_JOINED: 409,
  ALREADY_JOINED: 409,
  ALREADY_PRODUCING: 409,
  NO_VIDEO: 409,
  ROOM_REBUILT: 409,
  MESSAGE_TOO_LARGE: 413,
  UNSUPPORTED_CODEC: 415,
  ROOM_FULL: 429,
  TOO_MANY_ROOMS: 429,
  TOO_MANY_PENDING: 429,
  RATE_LIMITED: 429,
  ENGINE_FULL: 429,
  INTERNAL: 500,
  ENGINE_UNAVAILABLE: 503,
  SHUTTING_DOWN: 503,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

/** What goes over the wire when something was refused. */
export interface ErrorBody {
  code: ErrorCode;
  message: string;
}

/** An error with a code that may be shown to the client as it is. */
export class DriftlessError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "DriftlessError";
    this.code = code;
  }

  /** HTTP status that belongs to the code. */
  get status(): number {
    return ERROR_STATUS[this.code];
  }

  toBody(): ErrorBody {
    return { code: this.code, message: this.message };
  }
}

/** Turns whatever was thrown into an Error, for logs. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/**
 * What the client is told about a thrown value: known errors as they are,
 * anything else as INTERNAL without its details, which belong in the log only.
 */
export function toErrorBody(thrown: unknown): ErrorBody {
  if (thrown instanceof DriftlessError) return thrown.toBody();
  return { code: "INTERNAL", message: "The server failed to handle this. See its log." };
}

/** "prompt: expected …; steps: …", at most three of them. */
export function describeIssues(error: z.ZodError): string {
  const described = error.issues.slice(0, 3).map((issue) => {
    const where = issue.path.join(".");
    return where === "" ? issue.message : `${where}: ${issue.message}`;
  });
  return described.join("; ").slice(0, 500);
}
