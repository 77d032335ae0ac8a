/**
 * Room tokens: JWT signed with HS256 and a shared secret, so that any application
 * server can make them. Claims: {room, identity, grants: {...}, exp}.
 */
import { errors, jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import type { Grants } from "../domain/grants.ts";
import { DriftlessError } from "../errors.ts";

const grantsSchema = z
  .strictObject({
    publish: z.boolean().default(false),
    view: z.boolean().default(false),
    transform: z.boolean().default(false),
    admin: z.boolean().default(false),
  })
  .readonly();

export const ALL_GRANTS: Grants = { publish: true, view: true, transform: true, admin: true };

const claimsSchema = z.object({
  /** Room id, or "*" for a token that is good for all rooms (administration). */
  room: z.string().min(1).max(64),
  identity: z.string().regex(/^[A-Za-z0-9_.@-]{1,64}$/),
  grants: grantsSchema,
  exp: z.number(),
});

/** Who presents a token and what it allows. */
export interface TokenClaims {
  room: string;
  identity: string;
  grants: Grants;
  /** Unix time at which the token ends; undefined for callers without one. */
  expiresAtMs: number | undefined;
}

export interface NewToken extends Omit<TokenClaims, "expiresAtMs"> {
  ttlSeconds: number;
}

/** Makes and checks tokens of one secret. */
export class TokenAuthority {
  readonly #key: Uint8Array;
  readonly #nowMs: () => number;

  constructor(secret: string, nowMs: () => number = Date.now) {
    this.#key = new TextEncoder().encode(secret);
    this.#nowMs = nowMs;
  }

  async sign(token: NewToken): Promise<string> {
    const nowSeconds = Math.floor(this.#nowMs() / 1000);
    return new SignJWT({ room: token.room, identity: token.identity, grants: token.grants })
      .setProtectedHeader({ alg: "HS256", typ: "JWT" })
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + token.ttlSeconds)
      .sign(this.#key);
  }

  /**
   * @throws DriftlessError TOKEN_MISSING, TOKEN_EXPIRED or TOKEN_INVALID (forged,
   *   malformed, or without a claim that is needed).
   */
  async verify(token: string | undefined): Promise<TokenClaims> {
    if (token === undefined || token === "") {
      throw new DriftlessError("TOKEN_MISSING", "This server needs a token, none was given.");
    }
    const payload = await this.#verifySignature(token);
    const claims = claimsSchema.safeParse(payload);
    if (!claims.success) {
      const wrong = claims.error.issues.map((issue) => issue.path.join(".")).join(", ");
      throw new DriftlessError("TOKEN_INVALID", `The token's claims are wrong: ${wrong}.`);
    }
    const { room, identity, grants, exp } = claims.data;
    return { room, identity, grants, expiresAtMs: exp * 1000 };
  }

  async #verifySignature(token: string): Promise<unknown> {
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: ["HS256"],
        currentDate: new Date(this.#nowMs()),
      });
      return payload;
    } catch (error) {
      if (error instanceof errors.JWTExpired) {
        throw new DriftlessError("TOKEN_EXPIRED", "The token has expired. Ask for a new one.");
      }
      throw new DriftlessError("TOKEN_INVALID", "The token is not one of this server.", {
        cause: error,
      });
    }
  }
}
