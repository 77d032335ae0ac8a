/**
 * The server's side of a session: what it needs to open the session again in a new engine process
 * so that receivers notice nothing but a pause.
 */

import type { Standing } from "./process/session-state.ts";
import type {
  EngineMessage,
  EngineTransform,
  LevelChange,
  OpenSession,
  ServerMessage,
  SessionErrorCode,
  SessionProgress,
} from "./protocol.ts";
import { SessionSettings } from "./session-settings.ts";

/**
 * `BROKEN` an error at work · `MOVED` its address or port cannot be had again, a new tap can · `REFUSED`
 * the engine does not take its settings · `POISON` it crashed the engine again and again, and is to
 * be left alone until the participant publishes anew.
 */
export type LostCode = "BROKEN" | "MOVED" | "REFUSED" | "POISON";

/** What ends a session for good. */
export interface Loss {
  reason: string;
  code: LostCode;
}

export interface RemoteSessionListener {
  onState(standing: Standing): void;
  /** The engine process died; sooner or later onResumed or onLost follows. May come again. */
  onSuspended(reason: string): void;
  /** The first frame since the session was opened, or since a restart. */
  onFirstFrame(): void;
  onApplied(revision: number, captureTimeMs: number, complete: boolean): void;
  /**
   * The engine does not take these settings and goes on with those that it took last. Where those
   * would show a room that the refused ones hide, it goes on with none: onLost follows at once.
   */
  onRefused(revision: number, message: string): void;
  /** The engine gives the session less, or more again. A new process starts at full. */
  onLevel(change: LevelChange): void;
  onProgress(progress: SessionProgress): void;
  /** A new engine process carries the session on: the camera should send a key frame. */
  onResumed(): void;
  /** The session is gone for good: it has to be set up anew, or given up. */
  onLost(reason: string, code: LostCode): void;
}

/** The engine's address is not part of it: the link to the engine that takes the session knows it. */
export type SessionSpec = Omit<OpenSession, "type" | "localIp" | "localPort" | "revision">;

/** Also `gone`: the engine died; `late`: no answer in time; `moved`: another address than before. */
export type OpeningProblem = SessionErrorCode | "gone" | "late" | "moved";

/** An opening that the engine answered with no, or that it did not live to answer. */
export class OpeningError extends Error {
  readonly code: OpeningProblem;

  constructor(code: OpeningProblem, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Steps over the numbers that a dead process may have used after its last report: half a second of
 * packets, with room. Below mediasoup's limit for a jump (3000), so the stream goes on.
 */
const SEQUENCE_MARGIN = 256;
const PICTURE_ID_MARGIN = 64;

type Send = (message: ServerMessage) => void;

export class RemoteSession {
  readonly listener: RemoteSessionListener;
  /** Whom the engine's crashes are laid at: a participant, whatever sessions he has had. */
  readonly owner: string;
  readonly #settings: SessionSettings;
  #spec: SessionSpec;
  /** Where media goes; mediasoup's end knows no other place once it is connected. */
  #local: { ip: string; port: number } | null = null;
  /** Of the engine that has the session now; null while none has. */
  #send: Send | null = null;
  /** Where the stream's timeline stood, and when: the next process goes on from there. */
  #timeline: { timelineMs: number; atMs: number } | null = null;
  #opening: { resolve: (port: number) => void; reject: (error: Error) => void } | null = null;

  constructor(
    spec: SessionSpec,
    revision: number,
    listener: RemoteSessionListener,
    owner = spec.sessionId,
  ) {
    this.owner = owner;
    this.#spec = spec;
    this.#settings = new SessionSettings({ transform: spec.transform, revision });
    this.listener = listener;
  }

  get id(): string {
    return this.#spec.sessionId;
  }

  get delayBudgetMs(): number {
    return this.#spec.delayBudgetMs;
  }

  /**
   * Opens it in an engine: anew, or with the port and numbers of before.
   * @param send to that engine
   * @param localIp address of that engine's sockets
   * @returns the engine's port
   * @throws OpeningError
   */
  open(send: Send, localIp: string): Promise<number> {
    if (this.#local !== null && this.#local.ip !== localIp) {
      const problem = `expected an engine at ${this.#local.ip}, this one is at ${localIp}`;
      return Promise.reject(new OpeningError("moved", problem));
    }
    const { transform, revision } = this.#settings.forOpening;
    const opened = new Promise<number>((resolve, reject) => {
      this.#opening = { resolve, reject };
    });
    const { output } = this.#spec;
    send({
      ...this.#spec,
      output: this.#timeline === null ? output : { ...output, timelineMs: this.#timelineNow() },
      type: "openSession",
      localIp,
      localPort: this.#local?.port ?? 0,
      revision,
      transform,
    });
    return opened.then((port) => {
      this.#local = { ip: localIp, port };
      this.#send = send;
      const next = this.#settings.opened();
      if (next !== null) {
        send({ type: "setTransform", sessionId: this.id, ...next });
      }
      return port;
    });
  }

  /** Changes the settings; `revision` comes back by onApplied or onRefused. */
  setTransform(transform: EngineTransform, revision: number): void {
    this.#settings.ask({ transform, revision });
    this.#send?.({ type: "setTransform", sessionId: this.id, revision, transform });
  }

  /**
   * A message of the engine about this session.
   * @returns why the session must not go on, where that is so: its owner ends it
   */
  onMessage(message: EngineMessage): Loss | null {
    switch (message.type) {
      case "sessionOpened":
        this.#opening?.resolve(message.localPort);
        this.#opening = null;
        break;
      case "sessionState":
        this.listener.onState(message);
        break;
      case "firstFrame":
        this.listener.onFirstFrame();
        break;
      case "transformAccepted":
        this.#settings.accept(message.revision);
        break;
      case "transformRefused":
        return this.#onRefused(message.revision, message.message);
      case "applied":
        if (message.revision <= this.#settings.wanted.revision) {
          this.listener.onApplied(message.revision, message.captureTimeMs, message.complete);
        }
        break;
      case "level":
        this.listener.onLevel(message);
        break;
      case "progress":
        this.#carryOn(message);
        this.listener.onProgress(message);
        break;
      case "sessionError":
        return this.#onError(message.code, message.message, message.fatal);
    }
    return null;
  }

  /** The engine that had it has it no more; an opening under way has failed. */
  detach(reason: string): void {
    this.#send = null;
    this.failOpening("gone", reason);
  }

  /** An opening under way has failed. */
  failOpening(code: OpeningProblem, message: string): void {
    this.#opening?.reject(new OpeningError(code, message));
    this.#opening = null;
  }

  /** A process refused to be opened with a wish that no engine has accepted before. */
  onOpeningRefused(message: string): Loss | null {
    const { forOpening, untried } = this.#settings;
    return untried ? this.#onRefused(forOpening.revision, message) : null;
  }

  #onRefused(revision: number, message: string): Loss | null {
    const exposes = this.#settings.refuse(revision);
    this.listener.onRefused(revision, message);
    return exposes ? { reason: message, code: "REFUSED" } : null;
  }

  #onError(code: SessionErrorCode, message: string, fatal: boolean): Loss | null {
    if (this.#opening !== null) {
      this.failOpening(code, message);
      return null;
    }
    return fatal ? { reason: message, code: "BROKEN" } : null;
  }

  /** Where a next process starts: behind everything that this one may have sent. */
  #carryOn(progress: SessionProgress): void {
    if (progress.timelineMs !== undefined) {
      this.#timeline = { timelineMs: progress.timelineMs, atMs: performance.now() };
    }
    const { output } = this.#spec;
    this.#spec = {
      ...this.#spec,
      output: {
        ...output,
        sequenceStart: (progress.nextSequence + SEQUENCE_MARGIN) & 0xffff,
        pictureIdStart: (progress.nextPictureId + PICTURE_ID_MARGIN) & 0x7fff,
        low:
          output.low === null || progress.low === null
            ? output.low
            : {
                ...output.low,
                sequenceStart: (progress.low.nextSequence + SEQUENCE_MARGIN) & 0xffff,
                pictureIdStart: (progress.low.nextPictureId + PICTURE_ID_MARGIN) & 0x7fff,
              },
      },
    };
  }

  /** Whatever the wall clock did meanwhile: viewers' timestamps go on without a leap. */
  #timelineNow(): number {
    const { timelineMs, atMs } = this.#timeline ?? { timelineMs: 0, atMs: performance.now() };
    return timelineMs + performance.now() - atMs;
  }
}
