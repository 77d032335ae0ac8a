/** Makes room tokens, for applications that do not sign their own. */
import { Router } from "express";
import { z } from "zod";
import type { Config } from "../../config/schema.ts";
import { identitySchema, roomIdSchema } from "../../domain/ids.ts";
import { DriftlessError } from "../../errors.ts";
import type { AccessPolicy } from "../../security/access.ts";
import { callerOf, parseBody, requireAdmin } from "./caller.ts";

const newTokenSchema = z.strictObject({
  room: z.union([roomIdSchema, z.literal("*")]),
  identity: identitySchema,
  grants: z
    .strictObject({
      publish: z.boolean().default(true),
      view: z.boolean().default(true),
      transform: z.boolean().default(true),
      admin: z.boolean().default(false),
    })
    .prefault({}),
  ttlSeconds: z.int().min(10).max(31_536_000).optional(),
});

export function tokenRoutes({ config, access }: { config: Config; access: AccessPolicy }) {
  const router = Router();
  router.post("/", async (request, response) => {
    const { room, identity, grants, ttlSeconds } = parseBody(newTokenSchema, request.body);
    // An administrator of one room makes no tokens for others.
    requireAdmin(await callerOf(request, access), room);
    if (access.tokens === undefined) {
      throw new DriftlessError(
        "INVALID_REQUEST",
        "No tokens can be made: auth.secret (DRIFTLESS__AUTH__SECRET) is not set.",
      );
    }
    const ttl = ttlSeconds ?? config.auth.tokenTtlSeconds;
    const token = await access.tokens.sign({ room, identity, grants, ttlSeconds: ttl });
    response.status(201).json({ token, expiresInSeconds: ttl });
  });
  return router;
}
