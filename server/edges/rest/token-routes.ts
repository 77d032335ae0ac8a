/** Makes room tokens, for applications that do not sign their own, and takes tokens back. */
import { randomUUID } from "node:crypto";
import { Router } from "express";
import { z } from "zod";
import type { Config } from "../../config/schema.ts";
import type { Grants } from "../../domain/grants.ts";
import { identitySchema, roomIdSchema } from "../../domain/ids.ts";
import { DriftlessError } from "../../errors.ts";
import type { AccessPolicy, Caller } from "../../security/access.ts";
import { callerOf, parseBody, requireAdmin } from "./caller.ts";

const anyRoomSchema = z.union([roomIdSchema, z.literal("*")]);

const newTokenSchema = z.strictObject({
  room: anyRoomSchema,
  identity: identitySchema,
  grants: z
    .strictObject({
      publish: z.boolean().optional(),
      view: z.boolean().optional(),
      transform: z.boolean().optional(),
      admin: z.boolean().optional(),
    })
    .prefault({}),
  ttlSeconds: z.int().min(10).optional(),
});

const revocationSchema = z.union(
  [
    z.strictObject({ jti: z.string().min(1).max(128), room: anyRoomSchema.default("*") }),
    z.strictObject({ identity: identitySchema, room: anyRoomSchema }),
  ],
  { error: "expected {jti}, {jti, room} or {identity, room}" },
);

export interface TokenRouteDeps {
  config: Config;
  access: AccessPolicy;
  nowMs?: () => number;
}

export function tokenRoutes({ config, access, nowMs = Date.now }: TokenRouteDeps) {
  const router = Router();

  router.post("/", async (request, response) => {
    const { room, identity, grants: asked, ttlSeconds } = parseBody(newTokenSchema, request.body);
    const caller = await callerOf(request, access);
    // An administrator of one room makes no tokens for others.
    requireAdmin(caller, room);
    if (access.tokens === undefined) {
      throw new DriftlessError(
        "INVALID_REQUEST",
        "No tokens can be made: auth.secret (DRIFTLESS__AUTH__SECRET) is not set.",
      );
    }
    const grants = grantsFrom(caller, asked);
    const ttl = lifeSeconds(config.auth, caller, ttlSeconds, nowMs());
    const jti = randomUUID();
    const token = await access.tokens.sign({ room, identity, grants, ttlSeconds: ttl, jti });
    response.status(201).json({ token, jti, expiresInSeconds: ttl });
  });

  router.post("/revoke", async (request, response) => {
    const target = parseBody(revocationSchema, request.body);
    requireAdmin(await callerOf(request, access), target.room);
    await access.revoke(target);
    response.status(204).end();
  });

  return router;
}

/**
 * Nobody gives what they do not have: what was asked for must be the caller's, what was not is, by
 * default, the caller's without administration.
 * @throws DriftlessError FORBIDDEN that names the grants.
 */
function grantsFrom(caller: Caller, asked: Partial<Grants>): Grants {
  const missing = (["publish", "view", "transform", "admin"] as const).filter(
    (grant) => asked[grant] === true && !caller.grants[grant],
  );
  const grants: Grants = {
    publish: asked.publish ?? caller.grants.publish,
    view: asked.view ?? caller.grants.view,
    transform: asked.transform ?? caller.grants.transform,
    admin: asked.admin ?? false,
  };
  if (missing.length > 0 || !Object.values(grants).includes(true)) {
    const lacking = missing.length > 0 ? missing.join(", ") : "publish, view, transform";
    throw new DriftlessError(
      "FORBIDDEN",
      `A token gives only what its maker has: the caller's own lacks ${lacking}.`,
    );
  }
  return grants;
}

/**
 * No token outlives the one that it was made with: it ends with it, if need be earlier than asked.
 * @throws DriftlessError INVALID_REQUEST that names the setting.
 */
function lifeSeconds(
  auth: Config["auth"],
  caller: Caller,
  asked: number | undefined,
  nowMs: number,
): number {
  if (asked !== undefined && asked > auth.maxTokenTtlSeconds) {
    throw new DriftlessError(
      "INVALID_REQUEST",
      `ttlSeconds: expected at most ${auth.maxTokenTtlSeconds} (auth.maxTokenTtlSeconds), got ${asked}.`,
    );
  }
  const wished = asked ?? auth.tokenTtlSeconds;
  if (caller.token === undefined) return wished;
  return Math.min(wished, Math.max(1, Math.floor((caller.token.expiresAtMs - nowMs) / 1000)));
}
