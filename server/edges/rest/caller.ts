/** Who calls the REST interface, and what that caller may do. */
import type { Request } from "express";
import type { z } from "zod";
import { DriftlessError, describeIssues } from "../../errors.ts";
import type { AccessPolicy, Caller } from "../../security/access.ts";

/** What follows `Authorization: Bearer` (RFC 6750 2.1). */
export function bearerOf(request: Request): string | undefined {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ", 2);
  return scheme?.toLowerCase() === "bearer" ? token : undefined;
}

/** @throws DriftlessError TOKEN_* in token mode. */
export async function callerOf(request: Request, access: AccessPolicy): Promise<Caller> {
  return access.forRest(bearerOf(request), request);
}

/** @throws DriftlessError TOKEN_WRONG_ROOM unless the caller's token is for the room (or all). */
export function requireRoom(caller: Caller, roomId: string): void {
  if (caller.room !== roomId && caller.room !== "*") {
    throw new DriftlessError("TOKEN_WRONG_ROOM", `The token is for another room than "${roomId}".`);
  }
}

/** @param roomId "*" for what concerns all rooms. */
export function requireAdmin(caller: Caller, roomId: string): void {
  requireRoom(caller, roomId);
  if (!caller.grants.admin) {
    const hint = caller.adminHint === undefined ? "" : ` ${caller.adminHint}`;
    throw new DriftlessError("FORBIDDEN", `This needs the grant "admin".${hint}`);
  }
}

/** @throws DriftlessError INVALID_REQUEST that names each wrong field. */
export function parseBody<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  const result = schema.safeParse(body ?? {});
  if (!result.success) throw new DriftlessError("INVALID_REQUEST", describeIssues(result.error));
  return result.data;
}
