/** REST for rooms and participants. */
import { Router } from "express";
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { roomIdSchema } from "../../domain/ids.ts";
import type { Rooms } from "../../domain/rooms.ts";
import type { AccessPolicy } from "../../security/access.ts";
import { callerOf, parseBody, requireAdmin, requireRoom } from "./caller.ts";

const newRoomSchema = z.strictObject({ id: roomIdSchema.optional() });

export function roomRoutes({ rooms, access }: { rooms: Rooms; access: AccessPolicy }) {
  const router = Router();

  router.get("/", async (request, response) => {
    requireAdmin(await callerOf(request, access), "*");
    response.json({
      rooms: rooms.all.filter((room) => !room.private).map((room) => room.info),
    });
  });

  router.post("/", async (request, response) => {
    const { id = uuidv7() } = parseBody(newRoomSchema, request.body);
    requireAdmin(await callerOf(request, access), id);
    const existed = rooms.find(id) !== undefined;
    const room = rooms.create(id, true);
    response.status(existed ? 200 : 201).json(room.info);
  });

  router.get("/:roomId", async (request, response) => {
    requireRoom(await callerOf(request, access), request.params.roomId);
    response.json(rooms.get(request.params.roomId).info);
  });

  router.delete("/:roomId", async (request, response) => {
    requireAdmin(await callerOf(request, access), request.params.roomId);
    rooms.remove(request.params.roomId, "the room was closed");
    response.status(204).end();
  });

  router.get("/:roomId/participants", async (request, response) => {
    requireRoom(await callerOf(request, access), request.params.roomId);
    const room = rooms.get(request.params.roomId);
    response.json({ participants: room.participants.map((participant) => participant.info) });
  });

  router.delete("/:roomId/participants/:participantId", async (request, response) => {
    const { roomId, participantId } = request.params;
    requireAdmin(await callerOf(request, access), roomId);
    const room = rooms.get(roomId);
    room.leave(room.participant(participantId).id, "was removed");
    response.status(204).end();
  });

  return router;
}
