/** Coming in: for the first time, back after a lost connection, and again after lost media. */
import { v7 as uuidv7 } from "uuid";
import type { Membership } from "../../domain/memberships.ts";
import { PROMPT_MAX_CHARS } from "../../domain/settings.ts";
import { DriftlessError } from "../../errors.ts";
import { type RoomAccess, requireGrant } from "../../security/access.ts";
import { iceServersFor } from "../../security/turn.ts";
import type { HandlerDeps } from "./handler-deps.ts";
import type { JoinReply, ParsedMessage } from "./protocol.ts";
import type { ClientSession } from "./session.ts";

type JoinMessage = ParsedMessage<"join">;

/** @throws DriftlessError with the reason for which nobody comes in. */
export async function join(
  deps: HandlerDeps,
  session: ClientSession,
  message: JoinMessage,
): Promise<JoinReply> {
  const before = session.member;
  const resumed = before ?? resume(deps, session, message);
  if (before !== undefined) requireSamePlace(session, before, message);
  const member = resumed ?? (await enter(deps, session, message));
  session.mustRejoin = false;
  deps.bind(session, member);
  const { room, participant } = member;
  // The wish to hide counts before anything can be published; only privacy:set takes it back.
  if (message.hideOriginal) room.hideRoom(participant, true);
  const media = await deps.media.of(room);
  if (session.member !== member) {
    throw new DriftlessError("NOT_JOINED", "You have left the room.");
  }
  const kept = resumed === undefined ? undefined : media.kept(participant);
  const { config, offers, access } = deps;
  return {
    participantId: participant.id,
    roomId: message.roomId,
    identity: participant.identity,
    resume: member.secret,
    resumed: resumed !== undefined,
    mediaKept: kept !== undefined,
    producers: kept?.producers ?? [],
    consumers: kept?.consumers ?? [],
    hideOriginal: participant.hideRoom,
    transform: participant.transform,
    tokenExpiresAtMs: session.tokenExpiresAtMs ?? null,
    routerRtpCapabilities: media.rtpCapabilities,
    iceServers: iceServersFor(config.sfu, participant.identity, deps.nowMs()),
    participants: room.participants.filter((p) => p !== participant).map((p) => p.info),
    grants: participant.grants,
    ...offers,
    limits: {
      promptMaxChars: PROMPT_MAX_CHARS,
      maxParticipants: config.limits.maxParticipantsPerRoom,
      maxVideoBitrateBps: config.sfu.maxIncomingBitrateBps,
    },
    openMode: access.openMode,
  };
}

/** Who is in a room joins it again only to get its media back. */
function requireSamePlace(session: ClientSession, member: Membership, message: JoinMessage): void {
  const again = session.mustRejoin || message.resume === member.secret;
  if (again && message.roomId === member.roomId) return;
  throw new DriftlessError("ALREADY_JOINED", "Leave the room before joining another one.");
}

function resume(
  { memberships }: HandlerDeps,
  session: ClientSession,
  { resume: secret, roomId }: JoinMessage,
): Membership | undefined {
  if (secret === undefined) return undefined;
  return memberships.resume(secret, roomId, session.address, session);
}

async function enter(
  deps: HandlerDeps,
  session: ClientSession,
  message: JoinMessage,
): Promise<Membership> {
  const access = await deps.access.forRoom(session.token, message.roomId);
  const identity = chooseIdentity(access, message.identity);
  const preview = message.preview ?? false;
  if (preview) for (const grant of ["publish", "view"] as const) requireGrant(access.grants, grant);
  if (!session.open) throw new DriftlessError("NOT_JOINED", "The connection has ended.");
  const room = preview
    ? deps.rooms.forPreview(message.roomId, session.address)
    : deps.rooms.forJoin(message.roomId);
  session.tokenExpiresAtMs = access.token?.expiresAtMs;
  const { name } = message;
  const hideRoom = preview || (message.hideOriginal ?? false);
  const person = { identity, name, grants: access.grants, hideRoom, token: access.token };
  return deps.memberships.enter(room, person, session.address, session);
}

/** A token settles the identity; without one the participant chooses, or gets a guest's. */
function chooseIdentity(access: RoomAccess, asked: string | undefined): string {
  if (access.identity === undefined) return asked ?? `guest-${uuidv7().slice(-8)}`;
  if (asked !== undefined && asked !== access.identity) {
    throw new DriftlessError(
      "IDENTITY_MISMATCH",
      `The token is for "${access.identity}", not for "${asked}".`,
    );
  }
  return access.identity;
}
