/** Tokens that were taken back before their end. */
import { DriftlessError } from "../errors.ts";

/** What a revocation is held against. */
export interface RevocableToken {
  room: string;
  identity: string;
  jti: string;
  /** undefined: the token does not say, so it counts as older than any revocation. */
  issuedAtMs: number | undefined;
}

/**
 * One token by its id, or all that an identity was given for a room until then; later tokens are good
 * again. Room "*": of any room.
 */
export type Revocation = { room: string; atMs: number } & ({ jti: string } | { identity: string });

/** Where revocations are kept. Several servers share one store. */
export interface RevocationStore {
  /**
   * @param untilMs when the last token that it can concern has ended.
   * @throws DriftlessError TOO_MANY_REVOCATIONS: none is forgotten before its time.
   */
  add(revocation: Revocation, untilMs: number): Promise<void>;
  isRevoked(token: RevocableToken): Promise<boolean>;
}

/** Whether a revocation concerns a token. Pure, so that it also finds the stays to end. */
export function concerns(revocation: Revocation, token: RevocableToken): boolean {
  if (revocation.room !== "*" && revocation.room !== token.room) return false;
  if ("jti" in revocation) return revocation.jti === token.jti;
  if (revocation.identity !== token.identity) return false;
  return token.issuedAtMs === undefined || token.issuedAtMs <= revocation.atMs;
}

const MAX_REVOCATIONS = 10_000;

/** In this process only: a restart forgets them. */
export class MemoryRevocations implements RevocationStore {
  readonly #nowMs: () => number;
  readonly #max: number;
  /** By token id or identity; few entries under one key, for different rooms. */
  readonly #entries = new Map<string, { revocation: Revocation; untilMs: number }[]>();
  #size = 0;

  constructor(nowMs: () => number = Date.now, max = MAX_REVOCATIONS) {
    this.#nowMs = nowMs;
    this.#max = max;
  }

  get size(): number {
    return this.#size;
  }

  async add(revocation: Revocation, untilMs: number): Promise<void> {
    const key = keyOf(revocation);
    // A newer one for the same tokens says all that the older one did.
    const others = (this.#entries.get(key) ?? []).filter(
      (e) => e.revocation.room !== revocation.room,
    );
    const replaced = (this.#entries.get(key)?.length ?? 0) - others.length;
    if (this.#size - replaced >= this.#max) this.#forgetEnded();
    if (this.#size - replaced >= this.#max) {
      throw new DriftlessError(
        "TOO_MANY_REVOCATIONS",
        `Expected at most ${this.#max} revocations at a time. Change auth.secret to end all tokens.`,
      );
    }
    this.#entries.set(key, [...others, { revocation, untilMs }]);
    this.#size += 1 - replaced;
  }

  async isRevoked(token: RevocableToken): Promise<boolean> {
    const nowMs = this.#nowMs();
    return [`jti:${token.jti}`, `identity:${token.identity}`].some((key) =>
      this.#entries
        .get(key)
        ?.some(({ revocation, untilMs }) => untilMs > nowMs && concerns(revocation, token)),
    );
  }

  #forgetEnded(): void {
    const nowMs = this.#nowMs();
    for (const [key, entries] of this.#entries) {
      const kept = entries.filter(({ untilMs }) => untilMs > nowMs);
      this.#size -= entries.length - kept.length;
      if (kept.length === 0) this.#entries.delete(key);
      else this.#entries.set(key, kept);
    }
  }
}

function keyOf(revocation: Revocation): string {
  return "jti" in revocation ? `jti:${revocation.jti}` : `identity:${revocation.identity}`;
}
