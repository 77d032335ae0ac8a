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
  SessionProgress,
} from "./protocol.ts";

export interface RemoteSessionListener {
  onState(standing: Standing): void;
  /** The engine process died; either onResumed or onLost follows. */
  onSuspended(reason: string): void;
  /** The first frame since the session was opened, or since a restart. */
  onFirstFrame(): void;
  onApplied(revision: number, captureTimeMs: number, complete: boolean): void;
  /** The engine gives the session less, or more again. A new process starts at full. */
  onLevel(change: LevelChange): void;
  onProgress(progress: SessionProgress): void;
  /** A new engine process carries the session on: the camera should send a key frame. */
  onResumed(): void;
  /** The session is gone for good: it has to be set up anew, or given up. */
  onLost(reason: string): void;
}

export type SessionSpec = Omit<OpenSession, "type" | "localPort" | "revision">;

/**
 * Steps over the numbers that a dead process may have used after its last report: half a second of
 * packets, with room. Below mediasoup's limit for a jump (3000), so the stream goes on.
 */
const SEQUENCE_MARGIN = 256;
const PICTURE_ID_MARGIN = 64;

export class RemoteSession {
  readonly listener: RemoteSessionListener;
  readonly #send: (message: ServerMessage) => void;
  #open: OpenSession;
  #latestRevision: number;
  #opened: { resolve: (port: number) => void; reject: (error: Error) => void } | null = null;
  #everOpened = false;

  constructor(
    spec: SessionSpec,
    revision: number,
    send: (message: ServerMessage) => void,
    listener: RemoteSessionListener,
  ) {
    this.#open = { ...spec, type: "openSession", localPort: 0, revision };
    this.#latestRevision = revision;
    this.#send = send;
    this.listener = listener;
  }

  get id(): string {
    return this.#open.sessionId;
  }

  /** True from the first successful opening on, also while the engine is restarting. */
  get everOpened(): boolean {
    return this.#everOpened;
  }

  /** Sends the opening; resolves with the engine's port. @throws Error with the engine's reason */
  open(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#opened = { resolve, reject };
      this.#send(this.#open);
    });
  }

  /** Changes the settings; `revision` comes back by onApplied. */
  setTransform(transform: EngineTransform, revision: number): void {
    this.#latestRevision = revision;
    this.#open = { ...this.#open, transform, revision };
    this.#send({ type: "setTransform", sessionId: this.id, revision, transform });
  }

  setBitrate(bitrateBps: number): void {
    this.#open = { ...this.#open, bitrateBps };
    this.#send({ type: "setBitrate", sessionId: this.id, bitrateBps });
  }

  requestKeyFrame(): void {
    this.#send({ type: "requestKeyFrame", sessionId: this.id });
  }

  /** A message of the engine about this session. */
  onMessage(message: EngineMessage): void {
    switch (message.type) {
      case "sessionOpened":
        this.#open = { ...this.#open, localPort: message.localPort };
        this.#everOpened = true;
        this.#opened?.resolve(message.localPort);
        this.#opened = null;
        break;
      case "sessionState":
        this.listener.onState(message);
        break;
      case "firstFrame":
        this.listener.onFirstFrame();
        break;
      case "applied":
        if (message.revision <= this.#latestRevision) {
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
        this.#onError(message.message, message.fatal);
        break;
    }
  }

  /** The engine process died; an opening under way has failed. */
  onEngineGone(reason: string): void {
    const opened = this.#opened;
    this.#opened = null;
    opened?.reject(new Error(reason));
    if (this.#everOpened) {
      this.listener.onSuspended(reason);
    }
  }

  /** Where a next process starts: behind everything that this one may have sent. */
  #carryOn(progress: SessionProgress): void {
    const { output } = this.#open;
    this.#open = {
      ...this.#open,
      output: {
        ...output,
        sequenceStart: (progress.nextSequence + SEQUENCE_MARGIN) & 0xffff,
        pictureIdStart: (progress.nextPictureId + PICTURE_ID_MARGIN) & 0x7fff,
      },
    };
  }

  #onError(message: string, fatal: boolean): void {
    if (this.#opened !== null) {
      this.#opened.reject(new Error(message));
      this.#opened = null;
    } else if (fatal) {
      this.listener.onLost(message);
    }
  }
}
