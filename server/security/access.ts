/** Decides who may do what, in open mode and with tokens. */
import type { IncomingMessage } from "node:http";
import type { Config } from "../config/schema.ts";
import type { Grants } from "../domain/grants.ts";
import { DriftlessError } from "../errors.ts";
import { MemoryRevocations, type Revocation, type RevocationStore } from "./revocations.ts";
import { ALL_GRANTS, TokenAuthority, type TokenClaims } from "./tokens.ts";

export interface RoomAccess {
  /** undefined: the participant may choose (open mode without a token). */
  identity: string | undefined;
  grants: Grants;
  /** What the right to be here rests on; undefined in open mode. */
  token: TokenClaims | undefined;
}

/** Who calls the REST interface. */
export interface Caller {
  /** "*": all rooms. */
  room: string;
  /** undefined in open mode: such a caller is no participant, whatever a participant is called. */
  identity: string | undefined;
  grants: Grants;
  token: TokenClaims | undefined;
  /** Said where the grant "admin" is missing: how one gets it. */
  adminHint?: string;
}

/** In open mode everybody may take part, but administer only from this machine. */
const OPEN_GRANTS: Grants = { publish: true, view: true, transform: true, admin: false };
const OPEN_ADMIN_HINT =
  "With auth.mode open only programs on this machine have it, at a loopback address and with no proxy in between; auth.mode token gives it to others.";

export interface AccessPolicyOptions {
  nowMs?: () => number;
  revocations?: RevocationStore;
  /** Who may administer in open mode (RequestGuard.isLocalAdmin). */
  isLocalAdmin?: (request: IncomingMessage) => boolean;
}

type AuthConfig = Pick<Config["auth"], "mode"> & Partial<Config["auth"]>;

export class AccessPolicy {
  readonly openMode: boolean;
  readonly #tokens: TokenAuthority | undefined;
  readonly #revocations: RevocationStore;
  readonly #nowMs: () => number;
  readonly #isLocalAdmin: (request: IncomingMessage) => boolean;
  readonly #maxTtlMs: number;
  readonly #listeners = new Set<(revocation: Revocation) => void>();

  constructor(auth: AuthConfig, options: AccessPolicyOptions = {}) {
    this.openMode = auth.mode === "open";
    this.#nowMs = options.nowMs ?? Date.now;
    const maxTtlSeconds = auth.maxTokenTtlSeconds ?? Number.POSITIVE_INFINITY;
    this.#maxTtlMs = maxTtlSeconds * 1000;
    this.#tokens =
      auth.secret === undefined
        ? undefined
        : new TokenAuthority(auth.secret, { nowMs: this.#nowMs, maxTtlSeconds });
    this.#revocations = options.revocations ?? new MemoryRevocations(this.#nowMs);
    this.#isLocalAdmin = options.isLocalAdmin ?? (() => false);
  }

  /** The authority that signs new tokens; undefined when no secret is set. */
  get tokens(): TokenAuthority | undefined {
    return this.#tokens;
  }

  /**
   * Checks a token for one room.
   * @throws DriftlessError as verify, TOKEN_WRONG_ROOM.
   */
  async forRoom(token: string | undefined, roomId: string): Promise<RoomAccess> {
    if (this.openMode) return { identity: undefined, grants: OPEN_GRANTS, token: undefined };
    const claims = await this.verify(token);
    if (claims.room !== roomId && claims.room !== "*") {
      throw new DriftlessError(
        "TOKEN_WRONG_ROOM",
        `The token is for another room than "${roomId}".`,
      );
    }
    return { identity: claims.identity, grants: claims.grants, token: claims };
  }

  /**
   * Who calls the REST interface. Open mode: everything for programs on this machine, no
   * administration for others.
   * @throws DriftlessError as verify, in token mode.
   */
  async forRest(token: string | undefined, request?: IncomingMessage): Promise<Caller> {
    if (!this.openMode) {
      const claims = await this.verify(token);
      const { room, identity, grants } = claims;
      return { room, identity, grants, token: claims };
    }
    const local = request !== undefined && this.#isLocalAdmin(request);
    return {
      ...{ room: "*", identity: undefined, token: undefined },
      ...(local ? { grants: ALL_GRANTS } : { grants: OPEN_GRANTS, adminHint: OPEN_ADMIN_HINT }),
    };
  }

  /**
   * @throws DriftlessError TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED, TOKEN_REVOKED.
   */
  async verify(token: string | undefined): Promise<TokenClaims> {
    if (this.#tokens === undefined) {
      throw new DriftlessError("INTERNAL", "Token mode without a secret.");
    }
    const claims = await this.#tokens.verify(token);
    await this.requireUnrevoked(claims);
    return claims;
  }

  /**
   * For rights that outlive their token's check, such as a place that is taken again after a break.
   * @throws DriftlessError TOKEN_REVOKED.
   */
  async requireUnrevoked(claims: TokenClaims): Promise<void> {
    if (await this.#revocations.isRevoked(claims)) {
      throw new DriftlessError("TOKEN_REVOKED", "The token was taken back. Ask for a new one.");
    }
  }

  /**
   * Takes tokens back: one by its id, or what an identity was given for a room ("*": for any).
   * @throws DriftlessError TOO_MANY_REVOCATIONS.
   */
  async revoke(target: { room: string } & ({ jti: string } | { identity: string })): Promise<void> {
    const atMs = this.#nowMs();
    const revocation: Revocation = { ...target, atMs };
    // No token that was good before is good for longer.
    await this.#revocations.add(revocation, atMs + this.#maxTtlMs);
    for (const listener of this.#listeners) listener(revocation);
  }

  /**
   * Called after each revocation, to end the stays that it concerns (revocations.ts: concerns).
   * @returns stops the calls.
   */
  onRevoked(listener: (revocation: Revocation) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** @throws DriftlessError FORBIDDEN that names the missing grant. */
export function requireGrant(grants: Grants, grant: keyof Grants): void {
  if (!grants[grant]) {
    throw new DriftlessError("FORBIDDEN", `This needs the grant "${grant}".`);
  }
}
