import type { ConsumerEntry, Slot } from "../media/consumers.ts";
import { MediaSession } from "../media/session.ts";
import type {
  ClientMessage,
  ClientMessageName,
  ClientReplies,
  JoinReply,
  ServerEventName,
  ServerEvents,
} from "../protocol.ts";
import { SignalingClient } from "../signaling/client.ts";
import { refusalOf, ServerRefusal } from "../signaling/errors.ts";
import {
  type Connection,
  type ConnectionEvent,
  FIRST_STATE,
  retryDelayMs,
  step,
} from "./connection.ts";

/** Leaving must not hang on a server that is gone: closing the socket says it as well. */
const GOODBYE_MS = 500;

/** Who lives in the stay: the room, or the preview in the lobby. */
export interface StayListener {
  /** The newest token; null in open mode. */
  token(): string | null;
  /** What to join with; the stay adds its own secret. */
  joinMessage(): Omit<ClientMessage<"join">, "resume" | "identity">;
  /** The connection's state changed; `failure`: what went wrong last, null if nothing did. */
  moved(state: Connection["name"], failure: unknown): void;
  /** The server let us in, or in again; `kept`: with the tracks of before. */
  joined(reply: JoinReply, kept: boolean): void;
  /** Transports are there: publish what is to be published. A rejection is a failed join. */
  ready(media: MediaSession, reply: JoinReply): Promise<void>;
  /** A received track is there, changed its flow, or is gone. */
  changed(participantId: string, slot: Slot, entry: ConsumerEntry | null): void;
  mediaConnected(): void;
  /** Neither picture nor sound gets through; the stay begins anew. */
  mediaLost(): void;
  trackFailed(error: unknown): void;
  /** The stay ended against the person's wish. */
  ended(error: unknown): void;
}

/**
 * One membership on the server, from the first join to the last word. Sockets come and go: each
 * new one takes the place back with the secret that the first join answered.
 */
export class Stay {
  readonly #listener: StayListener;
  readonly #signaling: SignalingClient;
  #state: Connection = FIRST_STATE;
  #media: MediaSession | null = null;
  /** Its transports are made: it can be kept when the connection comes back. */
  #complete = false;
  /** As whom; null before the first join. */
  #identity: string | null = null;
  /** The secret that takes the place back; null without a place. */
  #resume: string | null = null;
  /** Why the last attempt failed, for the case that it was the last. */
  #failure: unknown = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #waiters: { resolve(): void; reject(error: unknown): void }[] = [];

  constructor(listener: StayListener) {
    this.#listener = listener;
    this.#signaling = new SignalingClient(() => this.#credentials(), {
      opened: () => this.#dispatch({ type: "opened" }),
      dropped: (willRetry) => this.#dispatch({ type: "dropped", willRetry }),
      failed: (error, willRetry) => {
        this.#failure = refusalOf(error);
        this.#dispatch({ type: "refused", willRetry, mayPass: this.#mayPass(this.#failure) });
      },
    });
    const on = this.#signaling.on.bind(this.#signaling);
    on("consumer:new", (message) => this.#media?.announce(message));
    on("consumer:closed", ({ consumerId }) => this.#media?.consumers.remove(consumerId));
    on("consumer:paused", ({ consumerId }) => this.#setFlowing(consumerId, false));
    on("consumer:resumed", ({ consumerId }) => this.#setFlowing(consumerId, true));
    on("room:rebuilt", () => this.#dispatch({ type: "rebuilt" }));
  }

  /** Null between the media sessions. */
  get media(): MediaSession | null {
    return this.#media;
  }

  get state(): Connection["name"] {
    return this.#state.name;
  }

  /** Listens to a server event for as long as the stay lasts. */
  on<N extends ServerEventName>(name: N, listener: (payload: ServerEvents[N]) => void): void {
    this.#signaling.on(name, listener);
  }

  /** Throws ServerRefusal, also while the connection is away. */
  request<N extends ClientMessageName>(
    name: N,
    message: ClientMessage<N>,
  ): Promise<ClientReplies[N]> {
    return this.#signaling.request(name, message);
  }

  /** Resolves when the person is in; rejects when the stay ends before that. */
  whenJoined(): Promise<void> {
    if (this.#state.name === "joined") return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (this.#state.name === "ended") reject(this.#failure ?? new Error("the stay is over"));
      else this.#waiters.push({ resolve, reject });
    });
  }

  /** There is a reason to try at once, such as a new token. */
  retryNow(): void {
    clearTimeout(this.#timer);
    this.#dispatch({ type: "timer" });
  }

  /** Says goodbye and closes everything. Safe to call twice. */
  async leave(): Promise<void> {
    if (this.#state.name === "ended") return;
    const inRoom = this.#resume !== null && this.#signaling.connected;
    this.#dispatch({ type: "left" });
    if (inRoom) {
      const goodbye = this.request("leave", {}).catch(() => undefined);
      await Promise.race([goodbye, new Promise((resolve) => setTimeout(resolve, GOODBYE_MS))]);
    }
    this.#close();
  }

  #credentials() {
    const token = this.#listener.token();
    return {
      ...(token === null ? {} : { token }),
      ...(this.#resume === null ? {} : { resume: this.#resume }),
    };
  }

  /** A token that has ended is no reason to give up a place: a new one may still come. */
  #mayPass(error: unknown): boolean {
    if (!(error instanceof ServerRefusal)) return false;
    return error.mayPass || (error.code === "TOKEN_EXPIRED" && this.#resume !== null);
  }

  #setFlowing(consumerId: string, flowing: boolean): void {
    this.#media?.consumers.setFlowing(consumerId, flowing);
  }

  #dispatch(event: ConnectionEvent): void {
    const before = this.#state;
    const { state, effects } = step(before, event);
    this.#state = state;
    if (state.name === "joined") this.#failure = null;
    if (state.name !== before.name) this.#listener.moved(state.name, this.#failure);
    if (state.name === "joined") for (const { resolve } of this.#waiters.splice(0)) resolve();
    for (const effect of effects) {
      if (effect.do === "join") void this.#join(effect.attempt, effect.anew);
      else if (effect.do === "connect") this.#signaling.reconnect();
      else if (effect.do === "wait") this.#wait(effect.failures);
      else this.#end();
    }
  }

  #wait(failures: number): void {
    clearTimeout(this.#timer);
    const delayMs = retryDelayMs(failures, Math.random());
    this.#timer = setTimeout(() => this.#dispatch({ type: "timer" }), delayMs);
  }

  async #join(attempt: number, anew: boolean): Promise<void> {
    try {
      await this.#joinOnce(
        () => attempt !== this.#state.attempt || this.#state.name === "ended",
        anew,
      );
      this.#dispatch({ type: "joined", attempt });
    } catch (error) {
      if (attempt !== this.#state.attempt) return;
      this.#failure = error;
      this.#dispatch({ type: "joinFailed", attempt, mayPass: this.#mayPass(error) });
    }
  }

  /** @param outdated true once a newer attempt has begun: the older one must not touch anything */
  async #joinOnce(outdated: () => boolean, anew: boolean): Promise<void> {
    if (anew) await this.#giveUpPlace();
    if (outdated()) return;
    let reply = await this.#requestJoin();
    if (outdated()) return;
    if (reply.mediaKept && !this.#complete) {
      // The server kept what this page never finished: begin with nothing on both sides.
      await this.#giveUpPlace();
      if (outdated()) return;
      reply = await this.#requestJoin();
      if (outdated()) return;
    }
    this.#identity = reply.identity;
    this.#resume = reply.resume;
    const kept = reply.mediaKept ? this.#media : null;
    if (kept === null) this.#dropMedia();
    this.#listener.joined(reply, kept !== null);
    if (kept !== null) await kept.adopt(reply);
    const media = kept ?? (await this.#openMedia(reply, outdated));
    if (media !== null && !outdated()) await this.#listener.ready(media, reply);
  }

  #requestJoin(): Promise<JoinReply> {
    return this.request("join", {
      ...this.#listener.joinMessage(),
      // Coming back as the same person; the first time the server or the token decides.
      ...(this.#identity === null ? {} : { identity: this.#identity }),
      ...(this.#resume === null ? {} : { resume: this.#resume }),
    });
  }

  /** Null where a newer attempt began in the meantime. */
  async #openMedia(reply: JoinReply, outdated: () => boolean): Promise<MediaSession | null> {
    const media: MediaSession = await MediaSession.create(this.#signaling, reply, {
      changed: (participantId, slot, entry) => this.#listener.changed(participantId, slot, entry),
      connected: () => this.#listener.mediaConnected(),
      lost: () => this.#mediaLost(media),
      trackFailed: (error) => this.#listener.trackFailed(error),
    });
    if (outdated()) {
      media.close();
      return null;
    }
    // From here on announcements belong to it.
    this.#media = media;
    try {
      await media.open();
    } catch (error) {
      this.#drop(media);
      throw error;
    }
    if (outdated()) {
      this.#drop(media);
      return null;
    }
    this.#complete = true;
    return media;
  }

  #mediaLost(media: MediaSession): void {
    if (media !== this.#media) return;
    this.#listener.mediaLost();
    this.#dispatch({ type: "mediaLost" });
  }

  async #giveUpPlace(): Promise<void> {
    this.#dropMedia();
    // Refused where the server has let go of us already, which is as good.
    await this.request("leave", {}).catch(() => undefined);
    this.#resume = null;
  }

  #drop(media: MediaSession): void {
    media.close();
    if (this.#media !== media) return;
    this.#media = null;
    this.#complete = false;
  }

  #dropMedia(): void {
    if (this.#media !== null) this.#drop(this.#media);
  }

  #end(): void {
    const error = this.#failure;
    this.#close();
    this.#listener.ended(error);
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#dropMedia();
    this.#signaling.close();
    const error = this.#failure ?? new Error("the stay is over");
    for (const { reject } of this.#waiters.splice(0)) reject(error);
  }
}
