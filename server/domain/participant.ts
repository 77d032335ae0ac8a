/** One membership of a room: who it is, what it publishes, what it wants, what may be seen of it. */
import { DEFAULT_FALLBACK, type Fallback } from "./fallback.ts";
import type { Grants } from "./grants.ts";
import type { ParticipantInfo, ParticipantTransform } from "./info.ts";
import { Privacy, type PrivacyPolicy } from "./privacy.ts";
import type { ActiveSettings } from "./settings.ts";
import type { Source, TrackRef } from "./tracks.ts";
import type { TransformFigures, TransformStatus } from "./transform-state.ts";
import { type Publication, shownVideo, type TileView } from "./view-plan.ts";

export interface NewParticipant {
  id: string;
  identity: string;
  name: string;
  grants: Grants;
  /** "Hide my room": nobody sees a pixel of it. */
  hideRoom: boolean;
  joinedAtMs: number;
  /** Network address, for limits by address. */
  address: string;
}

/** What a participant wants of the transform, in the newest revision. */
export interface Wish {
  /** Grows with each wish of the participant, also across "off" and hiding. */
  readonly revision: number;
  /** undefined: no transform. */
  readonly settings: ActiveSettings | undefined;
  /** The person is cut out before anything is repainted. */
  readonly hideRoom: boolean;
  /** What viewers get when it cannot go on. */
  readonly fallback: readonly Fallback[];
}

/** Wishes that one engine may have under way; of more the oldest are no more returned to. */
const MAX_ASKED = 32;

/**
 * Changed by its room only; everybody else reads. Nothing here waits for anything: a wish counts
 * from the moment at which it is written.
 */
export class Participant {
  readonly id: string;
  readonly identity: string;
  readonly name: string;
  readonly joinedAtMs: number;
  readonly address: string;
  /** Replaced when the token is refreshed. */
  grants: Grants;
  /** False while no connection of it is there and the place is kept. */
  connected = true;
  readonly #privacy: Privacy;
  readonly #tracks = new Map<Source, TrackRef>();
  readonly #paused = new Set<Source>();
  /** How this viewer sees others, by participant id. */
  #views: ReadonlyMap<string, TileView> = new Map();
  #generated: TrackRef | undefined;
  #generatedPicture: Publication["generatedPicture"] = "none";
  #settings: ActiveSettings | undefined;
  #fallback: readonly Fallback[] = DEFAULT_FALLBACK;
  #revision = 0;
  /** Settings that the engine has taken over, to return to after a refusal. */
  #accepted: ActiveSettings | undefined;
  /** Settings that the engine has not answered yet, by revision; the newest few. */
  readonly #asked = new Map<number, ActiveSettings>();
  #status: TransformStatus | undefined;
  #left = false;

  constructor(options: NewParticipant) {
    this.id = options.id;
    this.identity = options.identity;
    this.name = options.name;
    this.grants = options.grants;
    this.joinedAtMs = options.joinedAtMs;
    this.address = options.address;
    this.#privacy = new Privacy(options.hideRoom);
  }

  get left(): boolean {
    return this.#left;
  }

  get policy(): PrivacyPolicy {
    return this.#privacy.policy;
  }

  get hideRoom(): boolean {
    return this.#privacy.hideRoom;
  }

  get roomHidden(): boolean {
    return this.#privacy.roomHidden;
  }

  get camera(): TrackRef | undefined {
    return this.#tracks.get("camera");
  }

  get generated(): TrackRef | undefined {
    return this.#generated;
  }

  get wish(): Wish {
    const { hideRoom } = this;
    return {
      revision: this.#revision,
      settings: this.#settings,
      hideRoom,
      fallback: this.#fallback,
    };
  }

  get publication(): Publication {
    return {
      participantId: this.id,
      microphone: this.#tracks.get("microphone"),
      camera: this.camera,
      cameraPaused: this.#paused.has("camera"),
      generated: this.#generated,
      generatedPicture: this.#settings === undefined ? "none" : this.#generatedPicture,
      fallback: this.#fallback,
      policy: this.policy,
    };
  }

  viewOf(participantId: string): TileView | undefined {
    return this.#views.get(participantId);
  }

  track(source: Source): TrackRef | undefined {
    return this.#tracks.get(source);
  }

  isPaused(source: Source): boolean {
    return this.#paused.has(source);
  }

  /** Whether somebody else's wish for these settings would show a room that is hidden. */
  wouldShowRoom(settings: ActiveSettings | undefined): boolean {
    return this.#privacy.wouldShowRoom(settings);
  }

  get info(): ParticipantInfo {
    const { state, reason, settings, delayMs, video } = this.transform;
    return {
      participantId: this.id,
      identity: this.identity,
      name: this.name,
      joinedAtMs: this.joinedAtMs,
      audio: this.#tracks.has("microphone") && !this.#paused.has("microphone"),
      video,
      transform: state === "off" ? null : { state, reason, settings, delayMs },
      hideOriginal: this.hideRoom,
    };
  }

  get transform(): ParticipantTransform {
    const status = this.#status;
    return {
      participantId: this.id,
      revision: this.#revision,
      state: status?.state ?? "off",
      reason: status?.reason ?? "",
      settings: this.#settings ?? null,
      delayMs: status?.delayMs ?? null,
      level: status?.level ?? "full",
      queue: status?.queue ?? null,
      video: shownVideo(this.publication),
      fps: status?.fps ?? 0,
      bitrateBps: status?.bitrateBps ?? 0,
    };
  }

  get figures(): TransformFigures {
    const { delayMs = null, delayP95Ms = null, fps = 0, bitrateBps = 0 } = this.#status ?? {};
    return { participantId: this.id, delayMs, delayP95Ms, fps, bitrateBps };
  }

  // What follows is for the room.

  /** @returns the revision of the wish */
  setSettings(settings: ActiveSettings | undefined): number {
    this.#revision += 1;
    this.#settings = settings;
    this.#privacy.onWish(settings, this.#revision, this.#generated !== undefined);
    this.#remember();
    if (settings === undefined) {
      this.#accepted = undefined;
      this.#asked.clear();
      this.#status = undefined;
      this.#generatedPicture = "none";
    }
    return this.#revision;
  }

  setHideRoom(hideRoom: boolean): void {
    this.#revision += 1;
    this.#privacy.onHideRoom(hideRoom, this.#revision, this.#generated !== undefined);
    this.#remember();
  }

  setFallback(order: readonly Fallback[]): void {
    this.#revision += 1;
    this.#fallback = order;
    this.#remember();
  }

  setViews(views: ReadonlyMap<string, TileView>): void {
    this.#views = views;
  }

  setTrack(source: Source, track: TrackRef | undefined): void {
    this.#paused.delete(source);
    if (track === undefined) this.#tracks.delete(source);
    else this.#tracks.set(source, track);
  }

  setPaused(source: Source, paused: boolean): void {
    if (paused) this.#paused.add(source);
    else this.#paused.delete(source);
  }

  setGenerated(track: TrackRef | undefined): void {
    this.#generated = track;
    this.#generatedPicture = "none";
  }

  setGeneratedPicture(picture: Publication["generatedPicture"]): boolean {
    const changed = this.#generatedPicture !== picture;
    this.#generatedPicture = picture;
    return changed;
  }

  /** The engine shows this revision. One that nobody has asked for yet says nothing. */
  onShown(revision: number): void {
    if (revision > this.#revision) return;
    this.#privacy.onShown(revision);
    this.onAccepted(revision);
  }

  /** The engine has taken over the settings of this revision, and so none of those before. */
  onAccepted(revision: number): void {
    const accepted = this.#asked.get(revision);
    if (accepted === undefined) return;
    this.#accepted = accepted;
    for (const asked of this.#asked.keys()) if (asked <= revision) this.#asked.delete(asked);
  }

  /**
   * The engine does not take the newest wish. What was in force before stays in force, unless that
   * would show a room that the refused wish hides.
   * @returns whether the wish was changed by that
   */
  onRefused(revision: number): boolean {
    if (revision !== this.#revision) return false;
    const before = this.#accepted;
    if (this.#privacy.wouldShowRoom(before) || before === this.#settings) return false;
    this.setSettings(before);
    return true;
  }

  setStatus(status: TransformStatus | undefined): void {
    this.#status = this.#settings === undefined ? undefined : status;
  }

  leave(): void {
    this.#left = true;
    this.connected = false;
  }

  #remember(): void {
    if (this.#settings === undefined) return;
    this.#asked.set(this.#revision, this.#settings);
    const [oldest] = this.#asked.keys();
    if (this.#asked.size > MAX_ASKED && oldest !== undefined) this.#asked.delete(oldest);
  }
}
