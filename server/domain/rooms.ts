/** All rooms of this server: made on demand, removed when they have been empty for a while. */
import { v7 as uuidv7 } from "uuid";
import { DriftlessError } from "../errors.ts";
import { type ReportListenerError, SafeEmitter } from "./events.ts";
import { Room } from "./room.ts";
import type { Schedule } from "./schedule.ts";

export interface RoomsEvents {
  opened: [room: Room];
  /**
   * Its participants have left already, by "left" of the room.
   * @param byOperator it was ended on purpose, not because nobody was there
   */
  closed: [room: Room, reason: string, byOperator: boolean];
}

export interface RoomsOptions {
  maxRooms: number;
  maxParticipantsPerRoom: number;
  /** Rooms of one person who tries a look, from one network address. */
  maxPreviewsPerAddress: number;
  /** The first who joins an unknown room makes it. */
  autoCreate: boolean;
  emptySeconds: number;
  nowMs: () => number;
  schedule: Schedule;
  onListenerError: ReportListenerError;
}

/** Time for the one person of a private room to come in, or back. */
const PRIVATE_EMPTY_SECONDS = 2;

export class Rooms extends SafeEmitter<RoomsEvents> {
  readonly #options: RoomsOptions;
  readonly #rooms = new Map<string, Room>();
  /** Private rooms by the address that they were made for. */
  readonly #previews = new Map<string, number>();
  readonly #removals = new Map<Room, () => void>();
  #closed = false;

  constructor(options: RoomsOptions) {
    super(options.onListenerError);
    this.#options = options;
  }

  /** Also the private ones, which no caller can name. */
  get all(): Room[] {
    return [...this.#rooms.values()];
  }

  find(roomId: string): Room | undefined {
    return this.#rooms.get(roomId);
  }

  /** @throws DriftlessError ROOM_NOT_FOUND. */
  get(roomId: string): Room {
    const room = this.#rooms.get(roomId);
    if (room === undefined) {
      throw new DriftlessError("ROOM_NOT_FOUND", `There is no room "${roomId}".`);
    }
    return room;
  }

  /**
   * The room to join: an unknown one is made where rooms.autoCreate is on.
   * @throws DriftlessError ROOM_NOT_FOUND, TOO_MANY_ROOMS, SHUTTING_DOWN.
   */
  forJoin(roomId: string): Room {
    this.#requireOpen();
    return this.#options.autoCreate ? this.create(roomId) : this.get(roomId);
  }

  /**
   * A room for one person who tries a look before joining `roomId`, gone when that person is.
   * @throws DriftlessError ROOM_NOT_FOUND where joining would, TOO_MANY_ROOMS, SHUTTING_DOWN.
   */
  forPreview(roomId: string, address: string): Room {
    if (!this.#options.autoCreate) this.get(roomId);
    const count = this.#previews.get(address) ?? 0;
    const { maxPreviewsPerAddress } = this.#options;
    if (count >= maxPreviewsPerAddress) {
      throw new DriftlessError(
        "TOO_MANY_ROOMS",
        `From one address ${maxPreviewsPerAddress} looks can be tried at a time (limits.maxPreviewsPerAddress).`,
      );
    }
    const room = this.#open(`preview:${uuidv7()}`, true, false);
    this.#previews.set(address, count + 1);
    const release = (closed: Room) => {
      if (closed !== room) return;
      this.off("closed", release);
      const left = (this.#previews.get(address) ?? 1) - 1;
      if (left === 0) this.#previews.delete(address);
      else this.#previews.set(address, left);
    };
    this.on("closed", release);
    return room;
  }

  /**
   * Makes a room, or returns the one that exists.
   * @param permanent it stays when it is empty; an existing room becomes permanent by it
   * @throws DriftlessError TOO_MANY_ROOMS, SHUTTING_DOWN.
   */
  create(roomId: string, permanent = false): Room {
    const room = this.#rooms.get(roomId) ?? this.#open(roomId, false, permanent);
    if (permanent) {
      room.permanent = true;
      this.#keep(room);
    }
    return room;
  }

  /** Ends a room. @throws DriftlessError ROOM_NOT_FOUND. */
  remove(roomId: string, reason: string): void {
    this.#end(this.get(roomId), reason, true);
  }

  /** True once nobody is let in any more. */
  get draining(): boolean {
    return this.#closed;
  }

  /** Lets nobody in any more; who is in stays. */
  drain(): void {
    this.#closed = true;
  }

  /** Ends all rooms and makes no new ones. */
  close(): void {
    this.drain();
    for (const room of this.all) this.remove(room.id, "the server is closing");
  }

  #open(id: string, isPrivate: boolean, permanent: boolean): Room {
    this.#requireOpen();
    const { maxRooms, maxParticipantsPerRoom, nowMs, onListenerError } = this.#options;
    if (this.#rooms.size >= maxRooms) {
      throw new DriftlessError(
        "TOO_MANY_ROOMS",
        `This server has no place for another room (limits.maxRooms: ${maxRooms}).`,
      );
    }
    const room = new Room({
      id,
      private: isPrivate,
      permanent,
      createdAtMs: nowMs(),
      maxParticipants: isPrivate ? 1 : maxParticipantsPerRoom,
      onListenerError,
    });
    this.#rooms.set(id, room);
    room.on("joined", () => this.#keep(room));
    room.on("empty", () => this.#removeLater(room));
    // Nobody may ever join it: the same patience as for a room that became empty.
    this.#removeLater(room);
    this.emit("opened", room);
    return room;
  }

  #end(room: Room, reason: string, byOperator: boolean): void {
    this.#keep(room);
    this.#rooms.delete(room.id);
    room.close(reason);
    this.emit("closed", room, reason, byOperator);
  }

  #requireOpen(): void {
    if (this.#closed) throw new DriftlessError("SHUTTING_DOWN", "The server is closing.");
  }

  #removeLater(room: Room): void {
    if (room.permanent || this.#rooms.get(room.id) !== room) return;
    this.#keep(room);
    const { emptySeconds } = this.#options;
    const seconds = room.private ? Math.min(PRIVATE_EMPTY_SECONDS, emptySeconds) : emptySeconds;
    const cancel = this.#options.schedule(seconds * 1000, () => {
      this.#removals.delete(room);
      if (this.#rooms.get(room.id) === room && room.size === 0) {
        this.#end(room, "the room was empty", false);
      }
    });
    this.#removals.set(room, cancel);
  }

  #keep(room: Room): void {
    this.#removals.get(room)?.();
    this.#removals.delete(room);
  }
}
