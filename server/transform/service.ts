/** All transforms of a server: one entry for each participant, which follows its room. */
import type { Participant } from "../domain/participant.ts";
import type { Room } from "../domain/room.ts";
import type { Rooms } from "../domain/rooms.ts";
import { DriftlessError } from "../errors.ts";
import { type EntryDeps, TransformEntry } from "./reconciler.ts";

/** What edges need of transforms: whether a wish was taken. */
export interface Transforms {
  /**
   * Resolves when the wish of this revision is in the engine's hands, waits for a place or for the
   * engine, or was replaced by a newer one.
   * @throws DriftlessError with the words of who refused it
   */
  settled(participant: Participant, revision: number): Promise<void>;
}

export class TransformService implements Transforms {
  readonly #deps: EntryDeps;
  readonly #entries = new Map<string, TransformEntry>();

  constructor(rooms: Rooms, deps: EntryDeps) {
    this.#deps = deps;
    deps.admission.onAdmitted = (id) => this.#entries.get(id)?.poke();
    deps.admission.onMoved = (id) => this.#entries.get(id)?.onMoved();
    rooms.on("opened", (room) => this.#follow(room));
  }

  async settled(participant: Participant, revision: number): Promise<void> {
    await this.#entries.get(participant.id)?.settled(revision);
  }

  /** Ends all transforms. */
  close(): void {
    for (const entry of this.#entries.values()) entry.end();
    this.#entries.clear();
  }

  #follow(room: Room): void {
    room.on("wishChanged", (participant) => this.#entryOf(room, participant).poke());
    room.on("left", ({ id }) => {
      this.#entries.get(id)?.end();
      this.#entries.delete(id);
    });
  }

  #entryOf(room: Room, participant: Participant): TransformEntry {
    let entry = this.#entries.get(participant.id);
    if (entry === undefined) {
      entry = new TransformEntry(room, participant, this.#deps);
      this.#entries.set(participant.id, entry);
    }
    return entry;
  }
}

/** For a server that runs as a plain SFU (engine.enabled is false). */
export class NoTransforms implements Transforms {
  constructor(rooms: Rooms) {
    const refusal = new DriftlessError(
      "ENGINE_UNAVAILABLE",
      "This server repaints nothing: engine.enabled is false in its configuration.",
    );
    rooms.on("opened", (room) => {
      room.on("wishChanged", (participant) => {
        const { settings, revision } = participant.wish;
        if (settings !== undefined) room.onTransformRefused(participant, revision, refusal);
      });
    });
  }

  async settled(participant: Participant, revision: number): Promise<void> {
    const { wish } = participant;
    if (wish.settings === undefined && wish.revision === revision) return;
    throw new DriftlessError(
      "ENGINE_UNAVAILABLE",
      "This server repaints nothing: engine.enabled is false in its configuration.",
    );
  }
}
