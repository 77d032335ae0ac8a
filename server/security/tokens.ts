/**
 * Room tokens: JWT (RFC 7519) signed with HS256 and a shared secret, so that any application
 * server can make them. Claims: {room, identity, grants: {...}, exp}, better also {jti, iat}.
 */
import { createHash, randomUUID } from "node:crypto";
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
  iat: z.number().optional(),
  jti: z.string().min(1).max(128).optional(),
});

/** Who presents a token and what it allows. */
export interface TokenClaims {
  room: string;
  identity: string;
  grants: Grants;
  /** The token's own id; of one without, a fingerprint of what is signed. */
  jti: string;
  /** undefined: the token does not say. */
  issuedAtMs: number | undefined;
  expiresAtMs: number;
}

export interface NewToken {
  room: string;
  identity: string;
  grants: Grants;
  ttlSeconds: number;
  /** A random one by default. */
  jti?: string;
}

export interface TokenAuthorityOptions {
  nowMs?: () => number;
  /** Tokens that are good for longer are refused: revocations are not remembered for ever. */
  maxTtlSeconds?: number;
}

/** Makes and checks tokens of one secret. */
export class TokenAuthority {
  readonly #key: Uint8Array;
  readonly #nowMs: () => number;
  readonly #maxTtlSeconds: number;

  constructor(secret: string, options: TokenAuthorityOptions = {}) {
    this.#key = new TextEncoder().encode(secret);
    this.#nowMs = options.nowMs ?? Date.now;
    this.#maxTtlSeconds = options.maxTtlSeconds ?? Number.POSITIVE_INFINITY;
  }

  async sign({
    room,
    identity,
    grants,
    ttlSeconds,
    jti = randomUUID(),
  }: NewToken): Promise<string> {
    const nowSeconds = this.#nowMs() / 1000;
    return (
      new SignJWT({ room, identity, grants })
        .setProtectedHeader({ alg: "HS256", typ: "JWT" })
        .setJti(jti)
        // With its fraction (RFC 7519 2): a token made in the second of a revocation is told apart.
        .setIssuedAt(nowSeconds)
        .setExpirationTime(Math.floor(nowSeconds) + ttlSeconds)
        .sign(this.#key)
    );
  }

  /**
   * @throws DriftlessError TOKEN_MISSING, TOKEN_EXPIRED or TOKEN_INVALID (forged,
   *   malformed, without a claim that is needed, or good for too long).
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
    const { room, identity, grants, exp, iat } = claims.data;
    const leftSeconds = exp - this.#nowMs() / 1000;
    if (leftSeconds > this.#maxTtlSeconds) {
      throw new DriftlessError(
        "TOKEN_INVALID",
        `The token is good for ${Math.ceil(leftSeconds)} s, expected at most ${this.#maxTtlSeconds} (auth.maxTokenTtlSeconds).`,
      );
    }
    return {
      ...{ room, identity, grants },
      jti: claims.data.jti ?? fingerprint(token),
      issuedAtMs: iat === undefined ? undefined : Math.round(iat * 1000),
      expiresAtMs: Math.round(exp * 1000),
    };
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

/** Of the signed part only: the signature's last character may be written in several ways. */
function fingerprint(token: string): string {
  const signed = token.slice(0, token.lastIndexOf("."));
  return `sha256:${createHash("sha256").update(signed).digest("base64url")}`;
}
