/**
 * The one gate that every outgoing track passes: to browsers, later to recorders, WHEP viewers and
 * other hosts. It reads the owner's privacy policy when a track is opened, again when the opening is
 * done, and closes in the same tick whatever a newer policy forbids. The engine's leg does not pass
 * it: what the engine gives out again does.
 */
import type { Participant } from "../domain/participant.ts";
import { permits } from "../domain/privacy.ts";
import type { Room } from "../domain/room.ts";
import type { TrackRef } from "../domain/tracks.ts";

/** Something that carries a track out. */
export interface Egress {
  readonly closed: boolean;
  close(): void;
}

export class EgressGate {
  readonly #room: Room;
  /** What is open, by the owner of the track. */
  readonly #open = new Map<string, Map<Egress, TrackRef>>();

  constructor(room: Room) {
    this.#room = room;
    room.on("policyChanged", this.#onPolicyChanged);
    room.on("left", this.#onLeft);
  }

  /** Whether the track may leave at this instant. */
  permits(track: TrackRef): boolean {
    const owner = this.#room.find(track.owner);
    return owner !== undefined && permits(owner.policy, track);
  }

  /**
   * Opens a way out for a track.
   * @param make opens it; nothing may flow before it resolves
   * @returns undefined when the policy forbids the track, also if it began to while it was opened
   */
  async open<T extends Egress>(
    track: TrackRef,
    make: () => Promise<T | undefined>,
  ): Promise<T | undefined> {
    if (!this.permits(track)) return undefined;
    const egress = await make();
    if (egress === undefined) return undefined;
    if (!this.permits(track)) {
      egress.close();
      return undefined;
    }
    let open = this.#open.get(track.owner);
    if (open === undefined) {
      open = new Map();
      this.#open.set(track.owner, open);
    }
    open.set(egress, track);
    return egress;
  }

  /** The way out has ended by itself. */
  forget(track: TrackRef, egress: Egress): void {
    this.#open.get(track.owner)?.delete(egress);
  }

  /** Lets go of the room; what is open is closed by its transports. */
  close(): void {
    this.#room.off("policyChanged", this.#onPolicyChanged);
    this.#room.off("left", this.#onLeft);
    this.#open.clear();
  }

  readonly #onPolicyChanged = ({ id, policy }: Participant): void => {
    for (const [egress, track] of [...(this.#open.get(id) ?? [])]) {
      if (permits(policy, track)) continue;
      this.#open.get(id)?.delete(egress);
      egress.close();
    }
  };

  readonly #onLeft = ({ id }: Participant): void => {
    this.#open.delete(id);
  };
}
