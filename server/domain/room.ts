/**
 * One room: its participants, and what each of them publishes, wants and lets others see. Pure
 * state: every method ends before anything is awaited. Media and transforms follow its events.
 */
import { DriftlessError } from "../errors.ts";
import { type ReportListenerError, SafeEmitter } from "./events.ts";
import type { Fallback } from "./fallback.ts";
import type { RoomInfo } from "./info.ts";
import { type NewParticipant, Participant } from "./participant.ts";
import type { TransformSettings } from "./settings.ts";
import type { Source, TrackRef } from "./tracks.ts";
import type { TransformApplied, TransformStatus } from "./transform-state.ts";
import { type PlannedTrack, planTracks, type TileView } from "./view-plan.ts";

export interface RoomEvents {
  joined: [participant: Participant];
  left: [participant: Participant, reason: string];
  /** What the outside sees of a participant changed. */
  updated: [participant: Participant];
  /** Comes before everything else that a change brings: what is forbidden now must stop now. */
  policyChanged: [participant: Participant];
  /** The participant's wish has a new revision, or there is another camera to fulfil it with. */
  wishChanged: [participant: Participant];
  /** The tracks of `publisher` that its viewers should have changed; without viewer: for all. */
  planChanged: [publisher: Participant, viewer?: Participant];
  /** More than figures changed. */
  transformState: [participant: Participant];
  transformFigures: [participant: Participant];
  transformApplied: [participant: Participant, applied: TransformApplied];
  /** The engine did not take the settings of this revision. */
  transformRefused: [participant: Participant, revision: number, error: DriftlessError];
  /** Nobody is left. */
  empty: [];
}

export interface RoomOptions {
  id: string;
  /** One person's alone, who tries a look; nobody can name it. */
  private: boolean;
  /** It stays when it is empty. */
  permanent: boolean;
  createdAtMs: number;
  maxParticipants: number;
  onListenerError: ReportListenerError;
}

/** A voice is moved to the picture's delay in steps of this: smaller ones nobody hears. */
const DELAY_STEP_MS = 25;

export class Room extends SafeEmitter<RoomEvents> {
  readonly id: string;
  readonly private: boolean;
  /** It stays when it is empty. */
  permanent: boolean;
  readonly createdAtMs: number;
  readonly #maxParticipants: number;
  readonly #participants = new Map<string, Participant>();
  readonly #byIdentity = new Map<string, Participant>();
  readonly #toldDelayMs = new WeakMap<Participant, number>();
  #closed = false;

  constructor(options: RoomOptions) {
    super(options.onListenerError);
    this.id = options.id;
    this.private = options.private;
    this.permanent = options.permanent;
    this.createdAtMs = options.createdAtMs;
    this.#maxParticipants = options.maxParticipants;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get participants(): Participant[] {
    return [...this.#participants.values()];
  }

  get size(): number {
    return this.#participants.size;
  }

  get info(): RoomInfo {
    return { roomId: this.id, createdAtMs: this.createdAtMs, participants: this.size };
  }

  find(participantId: string): Participant | undefined {
    return this.#participants.get(participantId);
  }

  /** @throws DriftlessError PARTICIPANT_NOT_FOUND. */
  participant(participantId: string): Participant {
    const participant = this.#participants.get(participantId);
    if (participant === undefined) {
      throw new DriftlessError(
        "PARTICIPANT_NOT_FOUND",
        `There is no participant "${participantId}" in room "${this.id}".`,
      );
    }
    return participant;
  }

  /**
   * Adds a participant. One whose connection broke gives way to the same identity coming back; one
   * who is connected does not.
   * @throws DriftlessError IDENTITY_IN_USE, ROOM_FULL, ROOM_NOT_FOUND.
   */
  join(options: NewParticipant): Participant {
    if (this.#closed) throw new DriftlessError("ROOM_NOT_FOUND", "The room has just ended.");
    const same = this.#byIdentity.get(options.identity);
    if (same?.connected) {
      throw new DriftlessError(
        "IDENTITY_IN_USE",
        `Somebody with the identity "${options.identity}" is in the room already.`,
      );
    }
    if (same !== undefined) this.leave(same.id, "came back on another connection");
    if (this.size >= this.#maxParticipants) {
      throw new DriftlessError("ROOM_FULL", `The room is full (${this.#maxParticipants} people).`);
    }
    const participant = new Participant(options);
    this.#participants.set(participant.id, participant);
    this.#byIdentity.set(participant.identity, participant);
    this.emit("joined", participant);
    return participant;
  }

  /** Ends a membership; unknown ids are ignored (left in the meantime). */
  leave(participantId: string, reason: string): void {
    const participant = this.#participants.get(participantId);
    if (participant === undefined) return;
    this.#participants.delete(participantId);
    this.#byIdentity.delete(participant.identity);
    participant.leave();
    this.emit("left", participant, reason);
    if (this.size === 0 && !this.#closed) this.emit("empty");
  }

  /** A track of the participant arrives at the server. */
  publish(participant: Participant, track: TrackRef): void {
    if (participant.left) return;
    participant.setTrack(track.source, track);
    // The wish first: who asked for a background has it before the camera is planned for anybody.
    if (track.source === "camera") this.emit("wishChanged", participant);
    this.#planChanged(participant);
  }

  /** The track has ended; a newer one of the same source stays. */
  unpublish(participant: Participant, track: TrackRef): void {
    if (participant.left || participant.track(track.source)?.id !== track.id) return;
    participant.setTrack(track.source, undefined);
    if (track.source === "camera") this.emit("wishChanged", participant);
    this.#planChanged(participant);
  }

  setPaused(participant: Participant, source: Source, paused: boolean): void {
    if (participant.track(source) === undefined || participant.isPaused(source) === paused) return;
    participant.setPaused(source, paused);
    this.#planChanged(participant);
  }

  /**
   * What the participant wants from now on: the last one asked wins. A background may be asked for
   * before there is a camera: it then begins with the camera's first frame.
   * @param byOther somebody else asks, who must not show a room that is hidden
   * @returns the revision that the events about it will name
   * @throws DriftlessError NO_VIDEO when there is no camera to restyle, FORBIDDEN
   */
  wish(participant: Participant, wanted: TransformSettings, byOther = false): number {
    this.#requireMember(participant);
    const settings = wanted.mode === "off" ? undefined : wanted;
    if (byOther && participant.wouldShowRoom(settings)) {
      throw new DriftlessError(
        "FORBIDDEN",
        "This participant hides the room: only the participant can show it again.",
      );
    }
    if (settings?.mode === "restyle" && participant.camera === undefined) {
      throw new DriftlessError("NO_VIDEO", "There is no camera to repaint. Turn it on first.");
    }
    const version = participant.policy.version;
    const revision = participant.setSettings(settings);
    this.#wishChanged(participant, version);
    return revision;
  }

  /** Switches "hide my room". @returns the version of the policy that holds now */
  hideRoom(participant: Participant, hideRoom: boolean): number {
    this.#requireMember(participant);
    if (participant.hideRoom !== hideRoom) {
      const version = participant.policy.version;
      participant.setHideRoom(hideRoom);
      this.#wishChanged(participant, version);
    }
    return participant.policy.version;
  }

  /** Chooses what viewers get when the transform cannot go on. */
  setFallback(participant: Participant, order: readonly Fallback[]): void {
    this.#requireMember(participant);
    participant.setFallback(order);
    this.#wishChanged(participant, participant.policy.version);
  }

  /** At which size the viewer sees others; who is not named is seen in full. */
  setViews(viewer: Participant, views: ReadonlyMap<string, TileView>): void {
    const before = [...this.#participants.values()].map((publisher) => ({
      publisher,
      view: viewer.viewOf(publisher.id),
    }));
    viewer.setViews(views);
    for (const { publisher, view } of before) {
      const now = viewer.viewOf(publisher.id);
      if (!sameView(view, now)) this.emit("planChanged", publisher, viewer);
    }
  }

  /** What one viewer should have of one participant. */
  plan(publisher: Participant, viewer: Participant): PlannedTrack[] {
    if (publisher.left || viewer.left) return [];
    return planTracks(publisher.publication, viewer.id, viewer.viewOf(publisher.id));
  }

  // What media and transforms report.

  /** There is a track for generated frames; viewers set it up before its first frame. */
  addGenerated(participant: Participant, track: TrackRef): void {
    if (participant.left) return;
    participant.setGenerated(track);
    this.#planChanged(participant);
  }

  removeGenerated(participant: Participant, track: TrackRef): void {
    if (participant.generated?.id !== track.id) return;
    participant.setGenerated(undefined);
    this.#planChanged(participant);
  }

  /** Whether the generated track carries frames worth watching. */
  setGeneratedPicture(participant: Participant, picture: "fresh" | "stalled" | "none"): void {
    if (!participant.setGeneratedPicture(picture)) return;
    this.#planChanged(participant);
    this.emit("transformState", participant);
  }

  /** Where the transform stands; undefined: over, and nothing is wanted. */
  onTransformStatus(participant: Participant, status: TransformStatus | undefined): void {
    if (participant.left) return;
    const before = participant.transform;
    participant.setStatus(status);
    const now = participant.transform;
    // Against what was told last: a delay that creeps is told, too.
    const told = this.#toldDelayMs.get(participant) ?? 0;
    const moved = Math.abs((now.delayMs ?? 0) - told) >= DELAY_STEP_MS;
    const changed =
      moved ||
      before.state !== now.state ||
      before.reason !== now.reason ||
      before.level !== now.level ||
      before.queue?.position !== now.queue?.position ||
      before.revision !== now.revision;
    if (!changed) {
      this.emit("transformFigures", participant);
      return;
    }
    this.#toldDelayMs.set(participant, now.delayMs ?? 0);
    this.emit("transformState", participant);
    this.emit("updated", participant);
  }

  /** The engine took over the settings of this revision. */
  onTransformAccepted(participant: Participant, revision: number): void {
    participant.onAccepted(revision);
  }

  onTransformApplied(participant: Participant, applied: TransformApplied): void {
    if (participant.left) return;
    const version = participant.policy.version;
    participant.onShown(applied.revision);
    this.#policyChanged(participant, version);
    this.emit("transformApplied", participant, applied);
  }

  onTransformRefused(participant: Participant, revision: number, error: DriftlessError): void {
    if (participant.left) return;
    const version = participant.policy.version;
    const changed = participant.onRefused(revision);
    this.emit("transformRefused", participant, revision, error);
    if (changed) this.#wishChanged(participant, version);
  }

  /** All tracks are gone with the media worker; the people and their wishes stay. */
  mediaLost(): void {
    for (const participant of this.participants) {
      for (const source of ["camera", "microphone"] as const) {
        const track = participant.track(source);
        if (track !== undefined) this.unpublish(participant, track);
      }
      if (participant.generated !== undefined) {
        this.removeGenerated(participant, participant.generated);
      }
    }
  }

  /** Ends everybody's membership. Safe to call twice. */
  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { id } of this.participants) this.leave(id, reason);
  }

  #requireMember(participant: Participant): void {
    if (participant.left) throw new DriftlessError("NOT_JOINED", "You have left the room.");
  }

  #wishChanged(participant: Participant, versionBefore: number): void {
    this.#tellPolicy(participant, versionBefore);
    this.emit("wishChanged", participant);
    this.#planChanged(participant);
    this.emit("transformState", participant);
  }

  #policyChanged(participant: Participant, versionBefore: number): void {
    if (this.#tellPolicy(participant, versionBefore)) this.#planChanged(participant);
  }

  /** @returns whether there was anything to tell */
  #tellPolicy(participant: Participant, versionBefore: number): boolean {
    if (participant.policy.version === versionBefore) return false;
    this.emit("policyChanged", participant);
    return true;
  }

  #planChanged(participant: Participant): void {
    if (participant.left) return;
    this.emit("planChanged", participant);
    this.emit("updated", participant);
  }
}

function sameView(a: TileView | undefined, b: TileView | undefined): boolean {
  return a?.visible === b?.visible && a?.width === b?.width && a?.height === b?.height;
}
