/** Decides who may do what, in open mode and with tokens. */
import type { Config } from "../config/schema.ts";
import type { Grants } from "../domain/grants.ts";
import { DriftlessError } from "../errors.ts";
import { ALL_GRANTS, TokenAuthority, type TokenClaims } from "./tokens.ts";

export interface RoomAccess {
  /** undefined: the participant may choose (open mode without a token). */
  identity: string | undefined;
  grants: Grants;
  /** Unix time at which the token ends; undefined in open mode. */
  expiresAtMs: number | undefined;
}

/** In open mode everybody may take part, but administer only from this machine. */
const OPEN_GRANTS: Grants = { publish: true, view: true, transform: true, admin: false };

export class AccessPolicy {
  readonly openMode: boolean;
  readonly #tokens: TokenAuthority | undefined;

  constructor(auth: Config["auth"], nowMs: () => number = Date.now) {
    this.openMode = auth.mode === "open";
    this.#tokens = auth.secret === undefined ? undefined : new TokenAuthority(auth.secret, nowMs);
  }

  /** The authority that signs new tokens; undefined when no secret is set. */
  get tokens(): TokenAuthority | undefined {
    return this.#tokens;
  }

  /**
   * Checks a token for one room.
   * @throws DriftlessError TOKEN_* as TokenAuthority, TOKEN_WRONG_ROOM.
   */
  async forRoom(token: string | undefined, roomId: string): Promise<RoomAccess> {
    if (this.openMode) return { identity: undefined, grants: OPEN_GRANTS, expiresAtMs: undefined };
    const claims = await this.#verify(token);
    if (claims.room !== roomId && claims.room !== "*") {
      throw new DriftlessError(
        "TOKEN_WRONG_ROOM",
        `The token is for another room than "${roomId}".`,
      );
    }
    return {
      identity: claims.identity,
      grants: claims.grants,
      expiresAtMs: claims.expiresAtMs,
    };
  }

  /**
   * Who calls the REST interface. Open mode: everything from this machine, no
   * administration from elsewhere.
   */
  async forRest(token: string | undefined, fromLoopback: boolean): Promise<TokenClaims> {
    if (!this.openMode) return this.#verify(token);
    const grants = fromLoopback ? ALL_GRANTS : OPEN_GRANTS;
    return {
      room: "*",
      identity: fromLoopback ? "local" : "guest",
      grants,
      expiresAtMs: undefined,
    };
  }

  async #verify(token: string | undefined): Promise<TokenClaims> {
    if (this.#tokens === undefined) {
      throw new DriftlessError("INTERNAL", "Token mode without a secret.");
    }
    return this.#tokens.verify(token);
  }
}

/** @throws DriftlessError FORBIDDEN that names the missing grant. */
export function requireGrant(grants: Grants, grant: keyof Grants): void {
  if (!grants[grant]) {
    throw new DriftlessError("FORBIDDEN", `This needs the grant "${grant}".`);
  }
}
