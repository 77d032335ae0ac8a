/**
 * Makes the engine do what participants want. Each participant has one entry: what is wanted stands
 * in the domain, in its newest revision; the entry converges on it by starting, changing, stopping
 * and rebuilding a session, one step at a time, for as long as it is wanted.
 */
import type { Admission } from "../domain/admission.ts";
import type { Participant } from "../domain/participant.ts";
import type { Room } from "../domain/room.ts";
import type { TransformStatus } from "../domain/transform-state.ts";
import { DriftlessError, toError } from "../errors.ts";
import type { TransformTap, TransformTapOptions } from "../media/transform-tap.ts";
import type { TransformCounters } from "./counters.ts";
import { type SessionDeps, type SessionListener, TransformSession } from "./session.ts";

export interface EntryDeps extends Omit<SessionDeps, "createTap" | "owner"> {
  admission: Admission;
  /** Tells admission how many places there are now. */
  refreshPlaces(): void;
  counters: TransformCounters;
  createTap(
    room: Room,
    participant: Participant,
    options: TransformTapOptions,
  ): Promise<TransformTap>;
}

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 10_000;
/** A generated track that ends stays so long, so that viewers can change to the original first. */
const LINGER_MS = 2000;

interface Waiter {
  revision: number;
  resolve(): void;
  reject(error: Error): void;
}

export class TransformEntry {
  readonly #room: Room;
  readonly #participant: Participant;
  readonly #deps: EntryDeps;
  #session: TransformSession | undefined;
  #opening = false;
  #lingering: { session: TransformSession; cancel: () => void } | undefined;
  #working = false;
  #dirty = false;
  /** Failed attempts since the last one that worked. */
  #failures = 0;
  #failure = "";
  /** The camera that crashed the engine again and again: left alone until another one comes. */
  #poisonId: string | undefined;
  #cancelRetry: (() => void) | undefined;
  /** Newest revision for which the engine was asked, or a place. */
  #handledRevision = 0;
  #waiters: Waiter[] = [];
  /** The refusal of the newest revision that was refused. */
  #refusal: { revision: number; error: DriftlessError } | undefined;
  #ended = false;

  constructor(room: Room, participant: Participant, deps: EntryDeps) {
    this.#room = room;
    this.#participant = participant;
    this.#deps = deps;
  }

  /** Something that it depends on has changed: the wish, the camera, a place. */
  poke(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    // An opening that nobody wants any more is not waited for.
    if (this.#opening && !this.#isWanted()) this.#session?.close();
    this.#dirty = true;
    if (this.#working) return;
    this.#working = true;
    void this.#converge();
  }

  /**
   * Resolves when the engine has taken this revision, or it waits for a place or for the engine, or
   * a newer one is wanted.
   * @throws DriftlessError with the words of who refused it
   */
  settled(revision: number): Promise<void> {
    if (this.#refusal?.revision === revision) return Promise.reject(this.#refusal.error);
    if (this.#handledRevision >= revision) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ revision, resolve, reject }));
  }

  /** The position in the line changed. */
  onMoved(): void {
    this.#report();
  }

  /** The participant is gone. */
  end(): void {
    this.#ended = true;
    this.#cancelRetry?.();
    this.#endLinger();
    this.#session?.close();
    this.#session = undefined;
    this.#deps.admission.release(this.#participant.id);
    this.#deps.counters.onStatus(this.#participant.id, undefined);
    this.#settle(Number.POSITIVE_INFINITY);
  }

  #isWanted(): boolean {
    const { wish, camera } = this.#participant;
    return !this.#ended && wish.settings !== undefined && camera?.id === this.#session?.cameraId;
  }

  async #converge(): Promise<void> {
    while (this.#dirty && !this.#ended) {
      this.#dirty = false;
      try {
        await this.#step();
      } catch (error) {
        this.#deps.logger.error(
          { err: toError(error), participantId: this.#participant.id },
          "a transform could not be brought to what is wanted",
        );
      }
    }
    this.#working = false;
  }

  async #step(): Promise<void> {
    const { wish, camera } = this.#participant;
    const { settings, revision } = wish;
    if (settings === undefined || camera === undefined) {
      this.#stop(settings === undefined && camera !== undefined);
      this.#settle(revision);
      return;
    }
    if (this.#session !== undefined && this.#session.cameraId !== camera.id) this.#stop(false);
    if (this.#session !== undefined) {
      if (this.#session.revision !== revision) this.#session.update(wish, settings);
      this.#settle(revision);
      return;
    }
    if (camera.id === this.#poisonId) {
      this.#settle(revision);
      return;
    }
    if (this.#hasPlace(revision)) await this.#open();
  }

  /** Takes a place, or waits for one, or is refused. */
  #hasPlace(revision: number): boolean {
    const { id, identity, address } = this.#participant;
    const priority = this.#room.private ? "preview" : "live";
    try {
      this.#deps.refreshPlaces();
      const claim = { id, roomId: this.#room.id, identity, address, priority } as const;
      if (this.#deps.admission.request(claim) === "admitted") return true;
    } catch (error) {
      this.#refuse(revision, error as DriftlessError);
      return false;
    }
    this.#report();
    this.#settle(revision);
    return false;
  }

  async #open(): Promise<void> {
    const participant = this.#participant;
    const { wish, camera } = participant;
    if (wish.settings === undefined || camera === undefined) return;
    const { createTap, ...deps } = this.#deps;
    const session: TransformSession = new TransformSession(
      {
        ...deps,
        createTap: (options) => createTap(this.#room, participant, options),
        owner: `${this.#room.id} ${participant.identity}`,
      },
      camera.id,
      wish,
      wish.settings,
      this.#listener(() => session),
    );
    this.#endLinger();
    this.#session = session;
    this.#opening = true;
    this.#report();
    try {
      await session.open();
      if (this.#session !== session) return;
      this.#failures = 0;
      this.#room.onTransformAccepted(participant, session.revision);
      this.#settle(session.revision);
      // What was asked meanwhile comes next.
      if (participant.wish.revision !== session.revision) this.#dirty = true;
    } catch (error) {
      if (this.#session === session) this.#session = undefined;
      this.#onOpenFailed(wish.revision, error);
    } finally {
      this.#opening = false;
    }
  }

  #onOpenFailed(revision: number, error: unknown): void {
    const code = error instanceof DriftlessError ? error.code : "INTERNAL";
    if (this.#ended || code === "NO_VIDEO" || this.#participant.wish.settings === undefined) {
      // Another camera or none: that came with a poke of its own.
      this.#dirty ||= !this.#ended;
      if (this.#participant.camera === undefined) this.#settle(revision);
      return;
    }
    if (code === "ENGINE_FULL") {
      this.#deps.admission.putBack(this.#participant.id);
      // The engine tells when it has more places; this is for one that counts otherwise than we do.
      this.#deps.schedule(RETRY_MAX_MS, this.#deps.refreshPlaces);
      this.#report();
      this.#settle(revision);
      return;
    }
    if (code === "ENGINE_REFUSED") {
      // The same question would get the same answer.
      this.#deps.admission.release(this.#participant.id);
      this.#refuse(revision, error as DriftlessError);
      return;
    }
    this.#retryLater(toError(error).message);
    this.#settle(revision);
  }

  #retryLater(reason: string): void {
    const waitMs = Math.min(RETRY_FIRST_MS * 2 ** this.#failures, RETRY_MAX_MS);
    this.#failures += 1;
    this.#failure = reason;
    const { logger, schedule } = this.#deps;
    const { id: participantId } = this.#participant;
    logger.warn({ participantId, reason, waitMs }, "a transform is tried again");
    this.#cancelRetry?.();
    this.#cancelRetry = schedule(waitMs, () => this.poke());
    this.#report();
  }

  /** Ends the session and gives the place back. @param linger viewers go on to the original */
  #stop(linger: boolean): void {
    const session = this.#session;
    this.#session = undefined;
    this.#failures = 0;
    if (session !== undefined && linger) {
      this.#endLinger();
      session.closeEngine();
      const cancel = this.#deps.schedule(LINGER_MS, () => this.#endLinger());
      this.#lingering = { session, cancel };
    } else {
      session?.close();
    }
    this.#deps.admission.release(this.#participant.id);
    this.#deps.counters.onStatus(this.#participant.id, undefined);
    this.#room.onTransformStatus(this.#participant, undefined);
  }

  #endLinger(): void {
    this.#lingering?.cancel();
    this.#lingering?.session.close();
    this.#lingering = undefined;
  }

  #listener(session: () => TransformSession): SessionListener {
    const room = this.#room;
    const participant = this.#participant;
    const isCurrent = () => this.#session === session() && !this.#ended;
    return {
      onStatus: () => isCurrent() && this.#report(),
      onPicture: (picture) => isCurrent() && room.setGeneratedPicture(participant, picture),
      onApplied: (applied) => {
        if (isCurrent()) room.onTransformApplied(participant, applied);
      },
      onLevel: (change) => this.#deps.counters.onLevelChange(change),
      onRefused: (revision, message) =>
        isCurrent() && this.#refuse(revision, new DriftlessError("ENGINE_REFUSED", message)),
      onOver: (reason, cause) => {
        if (!isCurrent()) return;
        this.#onOver(session(), reason, cause);
      },
    };
  }

  #onOver(session: TransformSession, reason: string, cause: "camera" | "engine" | "poison"): void {
    this.#session = undefined;
    if (cause === "camera") {
      this.poke();
      return;
    }
    if (cause === "engine") {
      this.#retryLater(reason);
      return;
    }
    this.#poisonId = session.cameraId;
    this.#failure = reason;
    this.#deps.admission.release(this.#participant.id);
    this.#report();
  }

  /** Tells the one who asked, and goes back to what was in force. */
  #refuse(revision: number, error: DriftlessError): void {
    const waiting = this.#waiters.filter((waiter) => waiter.revision === revision);
    this.#waiters = this.#waiters.filter((waiter) => waiter.revision !== revision);
    for (const waiter of waiting) waiter.reject(error);
    this.#refusal = { revision, error };
    this.#failure = error.message;
    this.#room.onTransformRefused(this.#participant, revision, error);
    this.#settle(revision);
    this.#report();
  }

  #settle(revision: number): void {
    this.#handledRevision = Math.max(this.#handledRevision, revision);
    const settled = this.#waiters.filter((waiter) => waiter.revision <= revision);
    this.#waiters = this.#waiters.filter((waiter) => waiter.revision > revision);
    for (const waiter of settled) waiter.resolve();
  }

  #report(): void {
    const { wish } = this.#participant;
    if (wish.settings === undefined || this.#ended) return;
    const queue = this.#deps.admission.placeOf(this.#participant.id);
    const idle = { level: "full", delayMs: null, delayP95Ms: null, fps: 0, bitrateBps: 0 } as const;
    let status: TransformStatus;
    if (this.#session !== undefined) {
      status = { ...this.#session.status, settings: wish.settings, queue };
    } else if (queue !== null) {
      const reason = "all places for repainted cameras are taken";
      status = { ...idle, state: "queued", reason, settings: wish.settings, queue };
    } else {
      const state = this.#cancelRetry === undefined ? "stopped" : "starting";
      status = { ...idle, state, reason: this.#failure, settings: wish.settings, queue };
    }
    this.#deps.counters.onStatus(this.#participant.id, status);
    this.#room.onTransformStatus(this.#participant, status);
  }
}
