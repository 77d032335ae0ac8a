/**
 * What of a participant's camera may leave the server. One policy for each participant, written
 * before anything is awaited, and read at the one gate that every outgoing track passes
 * (media/egress-gate.ts).
 */
import type { ActiveSettings } from "./settings.ts";
import type { TrackRef } from "./tracks.ts";

export interface PrivacyPolicy {
  /** Grows with every change. */
  readonly version: number;
  /** The camera's own picture. */
  readonly original: boolean;
  /** The repainted picture. */
  readonly generated: boolean;
}

/** Whether a policy lets a track out. Voices always pass: hiding is about pictures. */
export function permits(policy: PrivacyPolicy, track: Pick<TrackRef, "kind" | "variant">): boolean {
  if (track.kind === "audio") return true;
  return track.variant === "original" ? policy.original : policy.generated;
}

/** Whether `next` forbids anything that `before` allowed. */
export function tightens(before: PrivacyPolicy, next: PrivacyPolicy): boolean {
  return (before.original && !next.original) || (before.generated && !next.generated);
}

/**
 * The room is hidden by "hide my room" and by every background. Hiding counts from the wish on:
 * until the engine shows settings of that wish or of a later one, its pictures may still show the
 * room, so none of them passes. Showing the room again counts, while there is a repainted picture,
 * from the first frame with the new settings.
 */
export class Privacy {
  #hideRoom: boolean;
  #settings: ActiveSettings | undefined;
  /** Newest revision that the engine has shown. */
  #shownRevision = 0;
  /** Generated frames of older revisions may show the room. */
  #hiddenSince: number | undefined;
  /** The original stays hidden until this revision is shown. */
  #showsFrom = 0;
  #policy: PrivacyPolicy;

  constructor(hideRoom: boolean) {
    this.#hideRoom = hideRoom;
    if (hideRoom) this.#hiddenSince = 0;
    this.#policy = { version: 1, original: !hideRoom, generated: true };
  }

  get policy(): PrivacyPolicy {
    return this.#policy;
  }

  /** What the participant chose by "hide my room". */
  get hideRoom(): boolean {
    return this.#hideRoom;
  }

  /** No pixel of the room may be seen. */
  get roomHidden(): boolean {
    return this.#hideRoom || this.#settings?.mode === "background";
  }

  /**
   * Whether these settings would show a room that is hidden now: by the wish in force, or because
   * the one that shows it again is not seen yet ("off" would not wait for that).
   */
  wouldShowRoom(settings: ActiveSettings | undefined): boolean {
    if (this.#hideRoom || settings?.mode === "background") return false;
    return this.roomHidden || (settings === undefined && !this.#policy.original);
  }

  /**
   * A new wish; undefined: no transform.
   * @param repainted there is a generated track, maybe the last of a transform that ended just now
   */
  onWish(settings: ActiveSettings | undefined, revision: number, repainted = false): void {
    this.#change(revision, repainted, () => {
      this.#settings = settings;
    });
  }

  /** "Hide my room" was switched. */
  onHideRoom(hideRoom: boolean, revision: number, repainted = false): void {
    this.#change(revision, repainted, () => {
      this.#hideRoom = hideRoom;
    });
  }

  /** The engine shows the settings of this revision. */
  onShown(revision: number): void {
    this.#shownRevision = Math.max(this.#shownRevision, revision);
    this.#renew();
  }

  #change(revision: number, repainted: boolean, apply: () => void): void {
    const before = this.roomHidden;
    const painting = repainted || this.#settings !== undefined;
    apply();
    const now = this.roomHidden;
    // Where nothing was being repainted, the first session begins with the room hidden.
    if (!before && now) this.#hiddenSince = painting ? revision : 0;
    if (before && !now) {
      this.#hiddenSince = undefined;
      // Without a transform there is nothing to wait for.
      this.#showsFrom = this.#settings === undefined ? 0 : revision;
    }
    if (this.#settings === undefined) this.#showsFrom = 0;
    this.#renew();
  }

  #renew(): void {
    const original = !this.roomHidden && this.#shownRevision >= this.#showsFrom;
    const generated = this.#hiddenSince === undefined || this.#shownRevision >= this.#hiddenSince;
    const { version } = this.#policy;
    if (original === this.#policy.original && generated === this.#policy.generated) return;
    this.#policy = { version: version + 1, original, generated };
  }
}
