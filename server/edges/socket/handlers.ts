/** What each client message does. Edges only translate: the work is in rooms. */
import { v7 as uuidv7 } from "uuid";
import type { Offers } from "../../config/presets.ts";
import type { Config } from "../../config/schema.ts";
import type { Participant } from "../../domain/participant.ts";
import type { Room } from "../../domain/room.ts";
import type { RoomManager } from "../../domain/room-manager.ts";
import { PROMPT_MAX_CHARS } from "../../domain/settings.ts";
import { DriftlessError } from "../../errors.ts";
import { type AccessPolicy, type RoomAccess, requireGrant } from "../../security/access.ts";
import { iceServersFor } from "../../security/turn.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { ClientReplies, ParsedMessage } from "./protocol.ts";
import type { ClientSession, Handlers } from "./session.ts";

export interface HandlerDeps {
  config: Pick<Config, "sfu" | "limits">;
  access: AccessPolicy;
  rooms: RoomManager;
  offers: Offers;
  metrics: Metrics;
  /** Called when a session has become (or is no longer) a participant. */
  bind(session: ClientSession, member: { room: Room; participant: Participant } | undefined): void;
  nowMs?: () => number;
}

const NOTHING: Record<string, never> = {};

export function createHandlers(deps: HandlerDeps): Handlers {
  const now = deps.nowMs ?? Date.now;
  return {
    async join(session, message) {
      const startMs = now();
      try {
        const reply = await join(deps, session, message, startMs);
        deps.metrics.joins.inc({ result: "ok" });
        deps.metrics.joinSeconds.observe((now() - startMs) / 1000);
        return reply;
      } catch (error) {
        const result = error instanceof DriftlessError ? error.code : "INTERNAL";
        deps.metrics.joins.inc({ result });
        throw error;
      }
    },

    leave(session) {
      const { room, participant } = session.requireMember();
      deps.bind(session, undefined);
      room.leave(participant.id, "left");
      return NOTHING;
    },

    async "transport:create"(session, { direction }) {
      const { participant } = session.requireMember();
      requireGrant(participant.grants, direction === "send" ? "publish" : "view");
      const { id, iceParameters, iceCandidates, dtlsParameters } =
        await participant.createTransport(direction);
      return { id, iceParameters, iceCandidates, dtlsParameters };
    },

    async "transport:connect"(session, { transportId, dtlsParameters }) {
      await session.requireMember().participant.transport(transportId).connect({ dtlsParameters });
      return NOTHING;
    },

    async "transport:restart-ice"(session, { transportId }) {
      const transport = session.requireMember().participant.transport(transportId);
      return { iceParameters: await transport.restartIce() };
    },

    async produce(session, { transportId, source, kind, rtpParameters }) {
      const { room, participant } = session.requireMember();
      requireGrant(participant.grants, "publish");
      const producerId = await room.publish(
        participant,
        transportId,
        source,
        kind,
        rtpParameters as Parameters<Room["publish"]>[4],
      );
      return { producerId };
    },

    "producer:close"(session, { producerId }) {
      session.requireMember().participant.producer(producerId).close();
      return NOTHING;
    },

    async "producer:pause"(session, { producerId }) {
      const { room, participant } = session.requireMember();
      await room.setPaused(participant, producerId, true);
      return NOTHING;
    },

    async "producer:resume"(session, { producerId }) {
      const { room, participant } = session.requireMember();
      await room.setPaused(participant, producerId, false);
      return NOTHING;
    },

    subscribe(session, { transportId, rtpCapabilities }) {
      const { room, participant } = session.requireMember();
      requireGrant(participant.grants, "view");
      room.subscribe(participant, transportId, rtpCapabilities as Parameters<Room["subscribe"]>[2]);
      return NOTHING;
    },

    async "consumer:ready"(session, { consumerId }) {
      const { participant } = session.requireMember();
      if (participant.subscriber === undefined) {
        throw new DriftlessError("NOT_FOUND", "Subscribe first.");
      }
      await participant.subscriber.ready(consumerId);
      return NOTHING;
    },

    async "transform:set"(session, settings) {
      const { room, participant } = session.requireMember();
      requireGrant(participant.grants, "transform");
      return room.setTransform(participant, settings);
    },

    "transform:get"(session) {
      return session.requireMember().participant.transform;
    },
  };
}

async function join(
  deps: HandlerDeps,
  session: ClientSession,
  message: ParsedMessage<"join">,
  joinedAtMs: number,
): Promise<ClientReplies["join"]> {
  if (session.member !== undefined) {
    throw new DriftlessError("ALREADY_JOINED", "Leave the room before joining another one.");
  }
  const access = await deps.access.forRoom(session.token, message.roomId);
  const identity = chooseIdentity(access, message.identity);
  const preview = message.preview ?? false;
  if (preview) for (const grant of ["publish", "view"] as const) requireGrant(access.grants, grant);
  const room = preview
    ? await deps.rooms.forPreview(message.roomId)
    : await deps.rooms.forJoin(message.roomId);
  const participant = room.join({
    id: uuidv7(),
    identity,
    name: message.name,
    grants: access.grants,
    hideOriginal: preview || (message.hideOriginal ?? false),
    joinedAtMs,
  });
  deps.bind(session, { room, participant });
  const { config } = deps;
  return {
    participantId: participant.id,
    roomId: message.roomId,
    identity,
    routerRtpCapabilities: room.media.rtpCapabilities,
    iceServers: iceServersFor(config.sfu, identity, joinedAtMs),
    participants: room.participants.filter((p) => p !== participant).map((p) => p.info),
    grants: access.grants,
    ...deps.offers,
    limits: {
      promptMaxChars: PROMPT_MAX_CHARS,
      maxParticipants: config.limits.maxParticipantsPerRoom,
      maxVideoBitrateBps: config.sfu.maxIncomingBitrateBps,
    },
    openMode: deps.access.openMode,
  };
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
