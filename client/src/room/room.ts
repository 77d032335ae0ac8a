import type { ConsumerEntry, Slot } from "../media/consumers.ts";
import type { MediaSession } from "../media/session.ts";
import type {
  ClientMessage,
  ClientReplies,
  FallbackOrder,
  JoinReply,
  ServerEvents,
  TileView,
  TransformFigures,
  TransformStatus,
} from "../protocol.ts";
import { describeError, ServerRefusal } from "../signaling/errors.ts";
import {
  type AppState,
  DEFAULT_FALLBACK,
  type Draft,
  withNotice,
  withoutNotice,
} from "../state.ts";
import { createStore, type Store } from "../store.ts";
import type { Connection } from "./connection.ts";
import { draftOf, settingsOf } from "./draft.ts";
import { followServer, syncLips } from "./events.ts";
import type { LocalDevices } from "./local-devices.ts";
import { withEverybody, withTrack } from "./people.ts";
import { Publisher } from "./publisher.ts";
import { Stay, type StayListener } from "./stay.ts";
import { ViewReport } from "./view-report.ts";

const NO_MEDIA_PATH =
  "Picture and sound do not get through to the server. A firewall may block its media ports: try another network, or ask the server's operator. Trying again …";

/** What the page needs of a room. */
export interface RoomControls {
  /** For diagnostics and statistics; null between media sessions. */
  readonly media: MediaSession | null;
  /** Numbers of the own transform, apart from the state that everything renders from. */
  readonly figures: Store<TransformFigures | null>;
  setTransform(draft: Draft): Promise<void>;
  setPrivacy(change: { hideRoom?: boolean; fallback?: FallbackOrder }): Promise<void>;
  reportView(tiles: TileView[]): void;
  leave(): Promise<void>;
}

/** One stay in a room: from joining to leaving, across lost connections and rebuilt rooms. */
export class Room implements RoomControls, StayListener {
  readonly figures = createStore<TransformFigures | null>(null);
  readonly #store: Store<AppState>;
  readonly #devices: LocalDevices;
  readonly #name: string;
  readonly #publisher: Publisher;
  readonly #view: ViewReport;
  readonly #stay: Stay;
  /** Looks that were sent and not answered yet. */
  #unanswered = 0;
  /** The last look that the server took over, or that was tried in the lobby: for each join. */
  #accepted: Draft | null;
  /** Newest revision of which nothing older is on screen. */
  #completeRevision = 0;

  constructor(store: Store<AppState>, devices: LocalDevices, name: string) {
    this.#store = store;
    this.#devices = devices;
    this.#name = name;
    const { draft } = store.get();
    this.#accepted = draft.on ? draft : null;
    this.#publisher = new Publisher(
      () => store.get().local,
      (source, error) => this.#notice(source, "error", describeError(error)),
    );
    this.#update({ phase: "joining", link: "connecting", notices: [], incomingRevision: null });
    this.#stay = new Stay(this);
    this.#view = new ViewReport((tiles) => this.#stay.request("view:set", { tiles }));
    followServer(this.#stay, store, {
      figures: this.figures,
      ownTransform: (status) => this.#followOwn(status),
      refused: (refusal) => this.#onRefused(refusal),
      applied: (applied) => this.#onApplied(applied),
      removed: (reason) => {
        void this.leave();
        this.#notice("left", "info", `You were removed from the room: ${reason}`);
      },
    });
  }

  get media(): MediaSession | null {
    return this.#stay.media;
  }

  /** Switches the transform, or changes the look. Refusals become notices. */
  async setTransform(draft: Draft): Promise<void> {
    this.#update({ draft });
    this.#unanswered += 1;
    try {
      // A look chosen while the camera is still on its way to the server waits for it.
      await this.#stay.whenJoined();
      await this.#publisher.idle();
      await this.#sendTransform(draft);
      this.#accepted = draft;
      this.#store.update((state) => withoutNotice(state, "transform"));
    } catch (error) {
      this.#showRefused(describeError(error));
    } finally {
      this.#unanswered -= 1;
    }
  }

  /** "Hide my room", and what is shown when the transform cannot go on. */
  async setPrivacy(change: { hideRoom?: boolean; fallback?: FallbackOrder }): Promise<void> {
    const { hideOriginal, fallback } = this.#store.get();
    const wanted = {
      hideOriginal: change.hideRoom ?? hideOriginal,
      fallback: change.fallback ?? fallback,
    };
    this.#update(wanted);
    try {
      await this.#stay.whenJoined();
      await this.#stay.request("privacy:set", change);
      // A join in between showed what was in force before.
      this.#update(wanted);
      this.#store.update((state) => withoutNotice(state, "privacy"));
      const { draft } = this.#store.get();
      const painted = draft.on && draft.kind === "restyle" && draft.behind !== null;
      // What stands behind the person is part of the look, and only while the room is hidden.
      if (change.hideRoom !== undefined && painted) await this.setTransform(draft);
    } catch (error) {
      this.#update({ hideOriginal, fallback });
      this.#notice("privacy", "error", describeError(error));
    }
  }

  reportView(tiles: TileView[]): void {
    this.#view.set(tiles);
  }

  /** Takes another token for the same room; the connection carries it from now on. */
  async refreshToken(token: string): Promise<ClientReplies["token:refresh"]> {
    const before = this.#store.get().token;
    this.#update({ token });
    if (this.#stay.state !== "joined") {
      this.#stay.retryNow();
      await this.#stay.whenJoined();
    }
    try {
      return await this.#stay.request("token:refresh", { token });
    } catch (error) {
      this.#update({ token: before });
      throw error;
    }
  }

  /** Leaves, closes the connection and releases the devices. Safe to call twice. */
  async leave(): Promise<void> {
    if (this.#stay.state === "ended") return;
    this.#release();
    await this.#stay.leave();
    await this.#devices.close();
    this.#update({ phase: "left", link: "idle", selfId: null, people: {} });
  }

  token(): string | null {
    return this.#store.get().token;
  }

  joinMessage(): Omit<ClientMessage<"join">, "resume" | "identity"> {
    const { roomId, hideOriginal } = this.#store.get();
    return { roomId, name: this.#name, hideOriginal };
  }

  moved(state: Connection["name"], failure: unknown): void {
    if (state === "away" || state === "waiting") {
      this.#update({ link: "reconnecting" });
      this.#notice("connection", "info", troubleOf(failure));
    } else if (state === "joined") {
      this.#update({ link: "connected" });
      for (const id of ["connection", "server"]) {
        this.#store.update((before) => withoutNotice(before, id));
      }
    }
  }

  joined(reply: JoinReply, kept: boolean): void {
    this.#store.update((state) => {
      const own = state.people[reply.participantId]?.info ?? {
        participantId: reply.participantId,
        identity: reply.identity,
        name: this.#name,
        joinedAtMs: Date.now(),
        audio: false,
        video: "none" as const,
        transform: null,
        hideOriginal: reply.hideOriginal,
      };
      const next: AppState = {
        ...state,
        phase: "room",
        selfId: reply.participantId,
        mayPublish: reply.grants.publish,
        mayTransform: reply.grants.transform,
        hideOriginal: reply.hideOriginal,
        presets: reply.presets,
        suggestions: reply.suggestions,
        promptMaxChars: reply.limits.promptMaxChars,
      };
      const infos = [{ ...own, hideOriginal: reply.hideOriginal }, ...reply.participants];
      return withEverybody(next, infos, kept);
    });
  }

  async ready(media: MediaSession, reply: JoinReply): Promise<void> {
    this.#view.repeat();
    for (const { participantId } of reply.participants) syncLips(this.#store, media, participantId);
    if (!reply.grants.publish) return;
    const { fallback } = this.#store.get();
    if (reply.resumed) this.#followOwn(reply.transform);
    else if (fallback !== DEFAULT_FALLBACK) await this.#stay.request("privacy:set", { fallback });
    const look =
      !reply.resumed && this.#accepted?.on && reply.grants.transform ? this.#accepted : null;
    // A background goes first: the server then hides the room from the camera's first frame on.
    if (look !== null && look.kind !== "restyle") await this.#restore(look);
    this.#devices.onTrack = (source) => void this.#publisher.sync(source);
    await this.#publisher.carry(media);
    if (look !== null && look.kind === "restyle") await this.#restore(look);
    // The first time in the room the browser may have to ask: nobody waits for the answer.
    void this.#devices.open();
  }

  changed(participantId: string, slot: Slot, entry: ConsumerEntry | null): void {
    this.#store.update((state) => withTrack(state, participantId, slot, entry));
    if (slot === "audio") syncLips(this.#store, this.media, participantId);
  }

  mediaConnected(): void {
    this.#store.update((state) => withoutNotice(state, "media"));
  }

  mediaLost(): void {
    this.#notice("media", "error", NO_MEDIA_PATH);
  }

  trackFailed(error: unknown): void {
    this.#notice("track", "error", describeError(error));
  }

  /** The stay cannot begin or go on: say why where the person can try again. */
  ended(error: unknown): void {
    this.#release();
    this.#update({ phase: "lobby", link: "idle", selfId: null, people: {} });
    this.#store.update((state) => withoutNotice(state, "connection"));
    this.#notice("join", "error", describeError(error));
  }

  #release(): void {
    this.#devices.onTrack = null;
    this.#publisher.carry(null).catch(() => undefined);
    this.#view.close();
    this.figures.update(() => null);
  }

  /** A look from before this join. Without it the stay goes on, and says so. */
  async #restore(look: Draft): Promise<void> {
    try {
      await this.#sendTransform(look);
    } catch (error) {
      if (error instanceof ServerRefusal && error.mayPass) throw error;
      this.#accepted = null;
      this.#showRefused(describeError(error));
    }
  }

  async #sendTransform(draft: Draft): Promise<void> {
    const settings = settingsOf(draft, this.#store.get().hideOriginal);
    const { revision } = await this.#stay.request("transform:set", settings);
    const coming = draft.on && revision > this.#completeRevision;
    this.#update({ incomingRevision: coming ? revision : null });
  }

  /** Shows the look that is in force, unless a newer one of our own is on its way. */
  #followOwn({ state: name, settings }: TransformStatus): void {
    if (name === "off" || name === "stopped") {
      this.#update({ incomingRevision: null });
      this.figures.update(() => null);
    }
    if (this.#unanswered > 0) return;
    const { draft } = this.#store.get();
    const next = name === "off" || settings === null ? { ...draft, on: false } : draftOf(settings);
    // What stands behind is kept for the next time where it is not in force now.
    const full = { ...next, behind: next.behind ?? draft.behind };
    this.#accepted = full;
    if (JSON.stringify(full) !== JSON.stringify(draft)) this.#update({ draft: full });
  }

  #onRefused({ revision, code, message }: ServerEvents["transform:refused"]): void {
    const { incomingRevision } = this.#store.get();
    if (incomingRevision !== null && revision >= incomingRevision) {
      this.#update({ incomingRevision: null });
    }
    this.#accepted = this.#inForce();
    this.#showRefused(describeError(new ServerRefusal(code, message)));
  }

  #onApplied({ revision, complete }: ServerEvents["transform:applied"]): void {
    if (!complete) return;
    this.#completeRevision = Math.max(this.#completeRevision, revision);
    const { incomingRevision } = this.#store.get();
    if (incomingRevision !== null && revision >= incomingRevision) {
      this.#update({ incomingRevision: null });
    }
  }

  /** The look that the server reported last; null without one. */
  #inForce(): Draft | null {
    const { selfId, people } = this.#store.get();
    const settings = selfId === null ? null : people[selfId]?.info.transform?.settings;
    return settings === null || settings === undefined ? null : draftOf(settings);
  }

  /** The switch shows what is in force; the words stay, so that they can be corrected. */
  #showRefused(text: string): void {
    this.#notice("transform", "error", text);
    const on = this.#accepted?.on ?? false;
    this.#store.update((state) => ({ ...state, draft: { ...state.draft, on } }));
  }

  #update(change: Partial<AppState>): void {
    this.#store.update((state) => ({ ...state, ...change }));
  }

  #notice(id: string, tone: "error" | "info", text: string): void {
    this.#store.update((state) => withNotice(state, { id, tone, text }));
  }
}

/** What is wrong with the connection, for the person. */
function troubleOf(failure: unknown): string {
  if (failure instanceof ServerRefusal && failure.code === "TOKEN_EXPIRED") {
    return "Your invitation has expired, and your place here is being asked for again. Keep this page open, or ask for a new link.";
  }
  return "The connection to the server is lost. Trying again …";
}
