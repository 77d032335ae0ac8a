/**
 * The media of all rooms: opened with the room, closed with it, and opened again when a worker died.
 * People and their wishes live in the rooms, so they outlive it.
 */
import type { SfuConfig } from "../config/schema.ts";
import { type ReportListenerError, SafeEmitter } from "../domain/events.ts";
import type { Room } from "../domain/room.ts";
import type { Rooms } from "../domain/rooms.ts";
import type { Schedule } from "../domain/schedule.ts";
import { DriftlessError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { RoomMedia } from "./room-media.ts";
import { RouterMesh } from "./router-mesh.ts";
import type { NewConsumer } from "./types.ts";
import type { WorkerPool, WorkerSlot } from "./worker-pool.ts";

export interface MediaEvents {
  consumerOpened: [viewerId: string, consumer: NewConsumer];
  consumerClosed: [viewerId: string, consumerId: string];
  consumerPaused: [viewerId: string, consumerId: string];
  consumerResumed: [viewerId: string, consumerId: string];
  /** The room's media died with its worker and is there again, empty. */
  rebuilt: [room: Room, reason: string];
}

export interface MediaServiceOptions {
  rooms: Rooms;
  pool: WorkerPool;
  config: SfuConfig;
  logger: Logger;
  metrics: Metrics;
  schedule: Schedule;
  onListenerError: ReportListenerError;
}

const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 5000;

export class MediaService extends SafeEmitter<MediaEvents> {
  readonly #options: MediaServiceOptions;
  readonly #media = new Map<Room, Promise<RoomMedia>>();
  /** Those of #media that are there. */
  readonly #open = new Map<Room, RoomMedia>();

  constructor(options: MediaServiceOptions) {
    super(options.onListenerError);
    this.#options = options;
    options.rooms.on("opened", (room) => this.#start(room));
    options.rooms.on("closed", (room) => this.#close(room));
    options.pool.on("workerDied", (slot) => this.#onWorkerDied(slot));
  }

  /**
   * The media of a room; waits while it is being opened, for the first time or again.
   * @throws DriftlessError ROOM_NOT_FOUND when the room ends meanwhile
   */
  async of(room: Room): Promise<RoomMedia> {
    for (;;) {
      const media = await (this.#media.get(room) ?? Promise.reject(ended()));
      if (!media.closed) return media;
      if (room.closed) throw ended();
      // The worker died and nobody has told us yet.
      this.#rebuild(room, media, "the media worker died");
    }
  }

  #start(room: Room): void {
    const opening = this.#openUntilClosed(room);
    this.#media.set(room, opening);
    // Who waits for it hears of a failure.
    opening.catch(() => undefined);
  }

  /** Tries for as long as the room lives. */
  async #openUntilClosed(room: Room): Promise<RoomMedia> {
    for (let waitMs = RETRY_FIRST_MS; ; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
      if (room.closed) throw ended();
      try {
        const media = await this.#openOnce(room);
        if (room.closed) {
          media.close();
          throw ended();
        }
        this.#open.set(room, media);
        return media;
      } catch (err) {
        if (room.closed || err instanceof DriftlessError) throw err;
        this.#options.logger.error({ err, roomId: room.id, waitMs }, "a room has no media yet");
        await new Promise<void>((resolve) => this.#options.schedule(waitMs, resolve));
      }
    }
  }

  async #openOnce(room: Room): Promise<RoomMedia> {
    const { pool, config, logger, metrics } = this.#options;
    const mesh = await RouterMesh.open(pool, config.maxConsumersPerRouter);
    return new RoomMedia(room, mesh, {
      config,
      metrics,
      logger: logger.child({ roomId: room.id }),
      plainPortRange: pool.plainPortRange,
      events: (viewerId) => ({
        opened: (consumer) => this.emit("consumerOpened", viewerId, consumer),
        closed: (consumerId) => this.emit("consumerClosed", viewerId, consumerId),
        paused: (consumerId) => this.emit("consumerPaused", viewerId, consumerId),
        resumed: (consumerId) => this.emit("consumerResumed", viewerId, consumerId),
      }),
    });
  }

  #onWorkerDied(slot: WorkerSlot): void {
    for (const [room, media] of [...this.#open]) {
      if (media.mesh.uses(slot)) this.#rebuild(room, media, "the media worker died");
    }
  }

  #rebuild(room: Room, lost: RoomMedia, reason: string): void {
    if (this.#open.get(room) !== lost) return;
    this.#open.delete(room);
    // The new one is in place before the old one's end is felt: a join that comes now waits for it.
    this.#start(room);
    lost.close();
    room.mediaLost();
    this.#media.get(room)?.then(
      () => {
        this.#options.metrics.roomsRebuilt.inc();
        this.emit("rebuilt", room, reason);
      },
      () => undefined,
    );
  }

  #close(room: Room): void {
    this.#media.delete(room);
    this.#open.get(room)?.close();
    this.#open.delete(room);
  }
}

function ended(): DriftlessError {
  return new DriftlessError("ROOM_NOT_FOUND", "The room has just ended.");
}
