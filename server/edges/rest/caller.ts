/** Who calls the REST interface, and what that caller may do. */
import type { Request } from "express";
import type { z } from "zod";
import { DriftlessError, describeIssues } from "../../errors.ts";
import type { AccessPolicy } from "../../security/access.ts";
import { isLocalRequest } from "../../security/origin.ts";
import type { TokenClaims } from "../../security/tokens.ts";

/** Reads `Authorization: Bearer …`. @throws DriftlessError TOKEN_* in token mode. */
export async function callerOf(request: Request, access: AccessPolicy): Promise<TokenClaims> {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ", 2);
  const bearer = scheme?.toLowerCase() === "bearer" ? token : undefined;
  return access.forRest(bearer, isLocalRequest(request));
}

/** @throws DriftlessError TOKEN_WRONG_ROOM unless the caller's token is for the room (or all). */
export function requireRoom(caller: TokenClaims, roomId: string): void {
  if (caller.room !== roomId && caller.room !== "*") {
    throw new DriftlessError("TOKEN_WRONG_ROOM", `The token is for another room than "${roomId}".`);
  }
}

/** @param roomId "*" for what concerns all rooms. */
export function requireAdmin(caller: TokenClaims, roomId: string): void {
  requireRoom(caller, roomId);
  if (!caller.grants.admin) {
    throw new DriftlessError("FORBIDDEN", 'This needs the grant "admin".');
  }
}

/** @throws DriftlessError INVALID_REQUEST that names each wrong field. */
export function parseBody<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  const result = schema.safeParse(body ?? {});
  if (!result.success) throw new DriftlessError("INVALID_REQUEST", describeIssues(result.error));
  return result.data;
}
