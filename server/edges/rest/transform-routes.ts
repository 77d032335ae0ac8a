/** REST for a participant's transform. */
import { type Request, Router } from "express";
import type { Participant } from "../../domain/participant.ts";
import type { Room } from "../../domain/room.ts";
import type { Rooms } from "../../domain/rooms.ts";
import { transformSettingsSchema } from "../../domain/settings.ts";
import { DriftlessError } from "../../errors.ts";
import type { AccessPolicy } from "../../security/access.ts";
import type { RateLimit } from "../../security/rate-limit.ts";
import type { Transforms } from "../../transform/service.ts";
import { callerOf, parseBody, requireRoom } from "./caller.ts";

type Target = { roomId: string; participantId: string };

export interface TransformRoutesDeps {
  rooms: Rooms;
  transforms: Transforms;
  lookRate: RateLimit;
  access: AccessPolicy;
}

export function transformRoutes({ rooms, transforms, lookRate, access }: TransformRoutesDeps) {
  const router = Router();
  const path = "/:roomId/participants/:participantId/transform";

  /** The room's administrators, and the participant with a token of the same identity. */
  async function find(
    request: Request<Target>,
    change: boolean,
  ): Promise<{ room: Room; participant: Participant; byOther: boolean }> {
    const { roomId, participantId } = request.params;
    const caller = await callerOf(request, access);
    requireRoom(caller, roomId);
    const room = rooms.get(roomId);
    const participant = room.participant(participantId);
    const own = caller.grants.transform && caller.identity === participant.identity;
    if (change && !caller.grants.admin && !own) {
      throw new DriftlessError(
        "FORBIDDEN",
        'This needs the grant "admin", or "transform" for one\'s own video.',
      );
    }
    return { room, participant, byOther: !own };
  }

  router.get(path, async (request: Request<Target>, response) => {
    const { participant } = await find(request, false);
    response.json(participant.transform);
  });

  router.put(path, async (request: Request<Target>, response) => {
    const { room, participant, byOther } = await find(request, true);
    const settings = parseBody(transformSettingsSchema, request.body);
    if (settings.mode !== "off") await lookRate.take(participant.id);
    const revision = room.wish(participant, settings, byOther);
    await transforms.settled(participant, revision);
    response.status(202).json({ ...participant.transform, revision });
  });

  router.delete(path, async (request: Request<Target>, response) => {
    const { room, participant, byOther } = await find(request, true);
    const revision = room.wish(participant, { mode: "off" }, byOther);
    await transforms.settled(participant, revision);
    response.status(204).end();
  });

  return router;
}
