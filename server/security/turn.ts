/**
 * Short-lived TURN credentials: the user name is the time of their end and whom they are for, the
 * password its HMAC-SHA1 with a secret that the TURN server shares (draft-uberti-behave-turn-rest-00,
 * section 2.2; coturn: use-auth-secret, static-auth-secret).
 */
import { createHmac } from "node:crypto";
import type { IceServer, SfuConfig } from "../config/schema.ts";

export interface TurnCredential {
  username: string;
  credential: string;
}

/** @param expiresAtMs wall clock, from which on the TURN server lets nobody start with it. */
export function turnCredential(
  secret: string,
  identity: string,
  expiresAtMs: number,
): TurnCredential {
  const username = `${Math.floor(expiresAtMs / 1000)}:${identity}`;
  return { username, credential: createHmac("sha1", secret).update(username).digest("base64") };
}

/** What one participant is told: the static servers, and the TURN server with a credential of its own. */
export function iceServersFor(
  sfu: Pick<SfuConfig, "iceServers" | "turn">,
  identity: string,
  nowMs: number,
): IceServer[] {
  const { turn } = sfu;
  if (turn === undefined) return sfu.iceServers;
  const credential = turnCredential(turn.secret, identity, nowMs + turn.ttlSeconds * 1000);
  return [...sfu.iceServers, { urls: turn.urls, ...credential }];
}
