/** All rooms of this server: made on demand, removed when empty, rebuilt when a worker dies. */
import { v7 as uuidv7 } from "uuid";
import type { Config } from "../config/schema.ts";
import { DriftlessError } from "../errors.ts";
import { MediaRoom } from "../media/media-room.ts";
import type { WorkerPool, WorkerSlot } from "../media/worker-pool.ts";
import { SafeEmitter } from "../telemetry/events.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Participant } from "./participant.ts";
import { Room } from "./room.ts";
import type { TransformService } from "./transform-service.ts";

interface RoomManagerEvents {
  roomCreated: [room: Room];
  roomClosed: [roomId: string, members: Participant[], reason: string];
  /** The room's participants were moved out; the room of the same id is new and empty. */
  roomRebuilt: [roomId: string, members: Participant[], reason: string];
}

/** Begins the ids of private rooms; no client may name such an id (ids.ts). */
const PRIVATE = "preview:";
/** Time for the one person of a private room to come in, in seconds. */
const PREVIEW_EMPTY_SECONDS = 2;

/** Whether a room is one person's alone. */
export function isPrivate(roomId: string): boolean {
  return roomId.startsWith(PRIVATE);
}

export interface RoomManagerDeps {
  config: Pick<Config, "sfu" | "rooms" | "limits">;
  pool: WorkerPool;
  transforms: TransformService;
  logger: Logger;
  metrics: Metrics;
  nowMs?: () => number;
}

export class RoomManager extends SafeEmitter<RoomManagerEvents> {
  readonly #deps: RoomManagerDeps;
  readonly #rooms = new Map<string, Room>();
  /** Rooms whose media is being set up, so that two joins make one room. */
  readonly #creating = new Map<string, Promise<Room>>();
  readonly #removals = new Map<string, NodeJS.Timeout>();
  #closed = false;

  constructor(deps: RoomManagerDeps) {
    super(deps.logger, deps.metrics);
    this.#deps = deps;
    deps.pool.on("workerDied", (slot) => this.#rebuildRoomsOf(slot));
    this.#forwardTransformEvents(deps.transforms);
  }

  /** Also the private ones, which no caller can name. */
  get rooms(): Room[] {
    return [...this.#rooms.values()];
  }

  /** @throws DriftlessError ROOM_NOT_FOUND. */
  get(roomId: string): Room {
    const room = this.#rooms.get(roomId);
    if (room === undefined) {
      throw new DriftlessError("ROOM_NOT_FOUND", `There is no room "${roomId}".`);
    }
    return room;
  }

  has(roomId: string): boolean {
    return this.#rooms.has(roomId);
  }

  /** The room to join: an unknown one is made when rooms.autoCreate is on. */
  async forJoin(roomId: string): Promise<Room> {
    const known = this.#rooms.get(roomId) ?? this.#creating.get(roomId);
    if (known !== undefined) return known;
    if (!this.#deps.config.rooms.autoCreate) return this.get(roomId);
    return this.create(roomId, false);
  }

  /**
   * A room for one person who tries a look before joining `roomId`, gone when that person is. It
   * counts as any other room.
   * @throws DriftlessError ROOM_NOT_FOUND where joining would, TOO_MANY_ROOMS, SHUTTING_DOWN.
   */
  forPreview(roomId: string): Promise<Room> {
    if (!this.#deps.config.rooms.autoCreate) this.get(roomId);
    return this.create(`${PRIVATE}${uuidv7()}`, false);
  }

  /**
   * Makes a room, or returns the one that exists.
   * @param permanent it stays when it is empty; also one that exists already.
   * @throws DriftlessError TOO_MANY_ROOMS, SHUTTING_DOWN.
   */
  async create(roomId: string, permanent: boolean): Promise<Room> {
    const known = this.#rooms.get(roomId) ?? this.#creating.get(roomId);
    if (known !== undefined) {
      const room = await known;
      if (permanent) {
        room.permanent = true;
        this.#keep(room.id);
      }
      return room;
    }
    if (this.#rooms.size + this.#creating.size >= this.#deps.config.limits.maxRooms) {
      throw new DriftlessError("TOO_MANY_ROOMS", "This server has no place for another room.");
    }
    return this.#open(roomId, permanent);
  }

  /** Ends a room. @throws DriftlessError ROOM_NOT_FOUND. */
  remove(roomId: string, reason: string): void {
    const room = this.get(roomId);
    const members = room.participants;
    this.#forget(room);
    room.close(reason);
    this.emit("roomClosed", roomId, members, reason);
  }

  /** Ends all rooms and makes no new ones. */
  close(): void {
    this.#closed = true;
    for (const room of this.rooms) this.remove(room.id, "the server is closing");
  }

  #open(roomId: string, permanent: boolean): Promise<Room> {
    const opening = this.#build(roomId, permanent).finally(() => this.#creating.delete(roomId));
    this.#creating.set(roomId, opening);
    return opening;
  }

  async #build(roomId: string, permanent: boolean): Promise<Room> {
    const { config, pool, transforms, logger, metrics } = this.#deps;
    const media = await MediaRoom.create(pool, { config: config.sfu, metrics });
    if (this.#closed) {
      media.close();
      throw new DriftlessError("SHUTTING_DOWN", "The server is closing.");
    }
    const room = new Room({
      id: roomId,
      permanent,
      createdAtMs: this.#deps.nowMs?.() ?? Date.now(),
      maxParticipants: isPrivate(roomId) ? 1 : config.limits.maxParticipantsPerRoom,
      media,
      transforms,
      logger,
      metrics,
    });
    this.#rooms.set(roomId, room);
    metrics.rooms.inc();
    room.on("participantJoined", () => this.#keep(roomId));
    room.on("empty", () => this.#removeLater(room));
    // Nobody may ever join it: the same patience as for a room that became empty.
    this.#removeLater(room);
    this.emit("roomCreated", room);
    return room;
  }

  #removeLater(room: Room): void {
    if (room.permanent || this.#closed) return;
    this.#keep(room.id);
    // Whoever tried a look does not come back to this room; its place is for others.
    const patience = isPrivate(room.id)
      ? Math.min(PREVIEW_EMPTY_SECONDS, this.#deps.config.rooms.emptySeconds)
      : this.#deps.config.rooms.emptySeconds;
    const timer = setTimeout(() => {
      this.#removals.delete(room.id);
      if (this.#rooms.get(room.id) === room) this.remove(room.id, "the room was empty");
    }, patience * 1000);
    timer.unref();
    this.#removals.set(room.id, timer);
  }

  #keep(roomId: string): void {
    clearTimeout(this.#removals.get(roomId));
    this.#removals.delete(roomId);
  }

  #forget(room: Room): void {
    this.#keep(room.id);
    if (this.#rooms.delete(room.id)) this.#deps.metrics.rooms.dec();
  }

  #rebuildRoomsOf(slot: WorkerSlot): void {
    for (const room of this.rooms) {
      if (room.media.slot !== slot) continue;
      this.#rebuild(room).catch((err: unknown) =>
        this.#deps.logger.error({ err, roomId: room.id }, "a room cannot be rebuilt"),
      );
    }
  }

  /** The new room is announced only when it can be joined. */
  async #rebuild(room: Room): Promise<void> {
    const reason = "the media worker died";
    const members = room.participants;
    this.#forget(room);
    // #open comes first: a join that arrives meanwhile waits for the new room.
    const opening = this.#open(room.id, room.permanent);
    room.close(reason);
    await opening;
    this.#deps.metrics.roomsRebuilt.inc();
    this.emit("roomRebuilt", room.id, members, reason);
  }

  #forwardTransformEvents(transforms: TransformService): void {
    const room = (roomId: string) => this.#rooms.get(roomId);
    transforms.on("state", (status) => room(status.roomId)?.onTransformStatus(status, true));
    transforms.on("stats", (status) => room(status.roomId)?.onTransformStatus(status, false));
    transforms.on("active", (e) => room(e.roomId)?.setGeneratedActive(e.targetId, true));
    transforms.on("inactive", (e) => room(e.roomId)?.setGeneratedActive(e.targetId, false));
    transforms.on("applied", ({ targetId: participantId, roomId, ...applied }) =>
      room(roomId)?.emit("transformApplied", { participantId, ...applied }),
    );
  }
}
