/** REST for a participant's transform. */
import { type Request, Router } from "express";
import type { Participant } from "../../domain/participant.ts";
import type { Room } from "../../domain/room.ts";
import type { RoomManager } from "../../domain/room-manager.ts";
import { transformSettingsSchema } from "../../domain/settings.ts";
import { DriftlessError } from "../../errors.ts";
import type { AccessPolicy } from "../../security/access.ts";
import { callerOf, parseBody, requireRoom } from "./caller.ts";

type Target = { roomId: string; participantId: string };

export function transformRoutes({ rooms, access }: { rooms: RoomManager; access: AccessPolicy }) {
  const router = Router();
  const path = "/:roomId/participants/:participantId/transform";

  /** The room's administrators, and the participant with a token of the same identity. */
  async function find(
    request: Request<Target>,
    change: boolean,
  ): Promise<{ room: Room; participant: Participant }> {
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
    return { room, participant };
  }

  router.get(path, async (request: Request<Target>, response) => {
    const { participant } = await find(request, false);
    response.json(participant.transform);
  });

  router.put(path, async (request: Request<Target>, response) => {
    const { room, participant } = await find(request, true);
    const settings = parseBody(transformSettingsSchema, request.body);
    const { revision } = await room.setTransform(participant, settings);
    response.status(202).json({ ...participant.transform, revision });
  });

  router.delete(path, async (request: Request<Target>, response) => {
    const { room, participant } = await find(request, true);
    await room.setTransform(participant, { mode: "off" });
    response.status(204).end();
  });

  return router;
}
