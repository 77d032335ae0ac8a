/** What each client message does. Edges only translate: the work is in domain, media and transform. */
import type { types as ms } from "mediasoup";
import { DriftlessError } from "../../errors.ts";
import { requireGrant } from "../../security/access.ts";
import type { HandlerDeps } from "./handler-deps.ts";
import { join } from "./join.ts";
import type { ClientSession, Handlers } from "./session.ts";

const NOTHING: Record<string, never> = {};

export function createHandlers(deps: HandlerDeps): Handlers {
  const { media, metrics, nowMs } = deps;
  /** The participant and the room's media, as they are now. */
  async function here(session: ClientSession) {
    const { room, participant } = session.requireMember();
    return { room, participant, media: await media.of(room) };
  }

  return {
    async join(session, message) {
      const startMs = nowMs();
      try {
        const reply = await join(deps, session, message);
        metrics.joins.inc({ result: "ok" });
        metrics.joinSeconds.observe((nowMs() - startMs) / 1000);
        return reply;
      } catch (error) {
        const result = error instanceof DriftlessError ? error.code : "INTERNAL";
        metrics.joins.inc({ result });
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
      const { participant, media: roomMedia } = await here(session);
      requireGrant(participant.grants, direction === "send" ? "publish" : "view");
      const { id, iceParameters, iceCandidates, dtlsParameters } = await roomMedia.createTransport(
        participant,
        direction,
      );
      return { id, iceParameters, iceCandidates, dtlsParameters };
    },

    async "transport:connect"(session, { transportId, dtlsParameters }) {
      const { participant, media: roomMedia } = await here(session);
      await roomMedia.transport(participant, transportId).connect({ dtlsParameters });
      return NOTHING;
    },

    async "transport:restart-ice"(session, { transportId }) {
      const { participant, media: roomMedia } = await here(session);
      const iceParameters = await roomMedia.transport(participant, transportId).restartIce();
      return { iceParameters };
    },

    async produce(session, { transportId, source, kind, rtpParameters }) {
      const { participant, media: roomMedia } = await here(session);
      requireGrant(participant.grants, "publish");
      const parameters = rtpParameters as ms.RtpParameters;
      const track = await roomMedia.publish(participant, transportId, source, kind, parameters);
      return { producerId: track.id };
    },

    async "producer:close"(session, { producerId }) {
      const { participant, media: roomMedia } = await here(session);
      roomMedia.unpublish(participant, producerId);
      return NOTHING;
    },

    async "producer:pause"(session, { producerId }) {
      const { participant, media: roomMedia } = await here(session);
      await roomMedia.setPaused(participant, producerId, true);
      return NOTHING;
    },

    async "producer:resume"(session, { producerId }) {
      const { participant, media: roomMedia } = await here(session);
      await roomMedia.setPaused(participant, producerId, false);
      return NOTHING;
    },

    async subscribe(session, { transportId, rtpCapabilities }) {
      const { participant, media: roomMedia } = await here(session);
      requireGrant(participant.grants, "view");
      roomMedia.subscribe(participant, transportId, rtpCapabilities as ms.RtpCapabilities);
      return NOTHING;
    },

    async "consumer:ready"(session, { consumerId }) {
      const { participant, media: roomMedia } = await here(session);
      roomMedia.ready(participant, consumerId);
      return NOTHING;
    },

    async "consumers:ready"(session, { consumerIds }) {
      const { participant, media: roomMedia } = await here(session);
      roomMedia.allReady(participant, consumerIds);
      return NOTHING;
    },

    "view:set"(session, { tiles }) {
      const { room, participant } = session.requireMember();
      room.setViews(
        participant,
        new Map(tiles.map(({ participantId, ...view }) => [participantId, view])),
      );
      return NOTHING;
    },

    async "transform:set"(session, settings) {
      const { room, participant } = session.requireMember();
      requireGrant(participant.grants, "transform");
      // Off is always taken: who wants to stop must never be told to wait.
      if (settings.mode !== "off") await deps.lookRate.take(participant.id);
      const revision = room.wish(participant, settings);
      await deps.transforms.settled(participant, revision);
      return { revision };
    },

    "transform:get"(session) {
      return session.requireMember().participant.transform;
    },

    "privacy:set"(session, { hideRoom, fallback }) {
      const { room, participant } = session.requireMember();
      if (fallback !== undefined) room.setFallback(participant, fallback);
      if (hideRoom !== undefined) room.hideRoom(participant, hideRoom);
      return { version: participant.policy.version };
    },

    async "token:refresh"(session, { token }) {
      const { participant, roomId } = session.requireMember();
      const { identity, grants, token: claims } = await deps.access.forRoom(token, roomId);
      if (identity !== participant.identity || claims === undefined) {
        throw new DriftlessError(
          "IDENTITY_MISMATCH",
          `Expected a token for "${participant.identity}".`,
        );
      }
      session.tokenExpiresAtMs = claims.expiresAtMs;
      deps.memberships.onTokenRefreshed(participant.id, grants, claims);
      return { expiresAtMs: claims.expiresAtMs };
    },
  };
}
