import { MediaSession, type Source } from "../media/session.ts";
import type { JoinReply, TransformStatus } from "../protocol.ts";
import { SignalingClient } from "../signaling/client.ts";
import { describeError, refusalOf, ServerRefusal } from "../signaling/errors.ts";
import { type AppState, type Draft, withNotice, withoutNotice } from "../state.ts";
import type { Store } from "../store.ts";
import { draftOf, settingsOf } from "./draft.ts";
import { followServer, syncLips } from "./events.ts";
import type { LocalDevices } from "./local-devices.ts";
import { withInfo, withTrack } from "./people.ts";

/** A lost stay is taken up again so often before the person is asked. */
const REJOIN_DELAY_MS = 700;
/**
 * Together 17 s: the server may need 13 s to notice that the old connection is dead, and until
 * then the identity counts as taken.
 */
const REJOIN_ATTEMPTS = 25;

const NO_MEDIA_PATH =
  "Picture and sound do not get through to the server. A firewall may block its media ports: try another network, or ask the server's operator. Trying again …";

/** One stay in a room: from joining to leaving, across lost connections and rebuilt rooms. */
export class Room {
  readonly #store: Store<AppState>;
  readonly #devices: LocalDevices;
  readonly #name: string;
  readonly #signaling: SignalingClient;
  #media: MediaSession | null = null;
  #reply: JoinReply | null = null;
  #joining: Promise<void> | null = null;
  #left = false;
  /** Looks that were sent and not answered yet. */
  #unanswered = 0;
  #carrying: Promise<void> = Promise.resolve();
  /** The last look that the server took over, or that was tried in the lobby: for each join. */
  #accepted: Draft | null;

  constructor(store: Store<AppState>, devices: LocalDevices, name: string) {
    this.#store = store;
    this.#devices = devices;
    this.#name = name;
    const { draft } = store.get();
    this.#accepted = draft.on ? draft : null;
    this.#signaling = new SignalingClient(store.get().token, {
      opened: (recovered) => this.#opened(recovered),
      dropped: (willRetry) => this.#dropped(willRetry),
      failed: (error) => this.#failed(error),
    });
    followServer(this.#signaling, store, {
      media: () => this.#media,
      rebuilt: () => void this.#rejoin(),
      ownTransform: (status) => this.#followOwn(status),
      removed: (reason) => {
        void this.leave();
        this.#notice("left", "info", `You were removed from the room: ${reason}`);
      },
    });
    this.#update({ phase: "joining", link: "connecting", notices: [] });
  }

  /** The media session for diagnostics and statistics; null between joins. */
  get media(): MediaSession | null {
    return this.#media;
  }

  /** Switches the transform, or changes the look. Refusals become notices. */
  async setTransform(draft: Draft): Promise<void> {
    this.#store.update((state) => ({ ...state, draft }));
    this.#unanswered += 1;
    try {
      // A look chosen while the camera is still on its way to the server waits for it.
      await this.#joining;
      await this.#carrying;
      await this.#sendTransform(draft);
      this.#accepted = draft;
      this.#store.update((state) => withoutNotice(state, "transform"));
    } catch (error) {
      this.#notice("transform", "error", describeError(error));
      // The switch shows what is in force; the words stay, so that they can be corrected.
      const on = this.#accepted?.on ?? false;
      this.#store.update((state) => ({ ...state, draft: { ...state.draft, on } }));
    } finally {
      this.#unanswered -= 1;
    }
  }

  /** Leaves, closes the connection and releases the devices. Safe to call twice. */
  async leave(): Promise<void> {
    if (this.#left) return;
    this.#left = true;
    this.#devices.onTrack = null;
    if (this.#signaling.connected && this.#reply !== null) {
      // Leaving must not hang on a server that is gone: closing the socket says it as well.
      await Promise.race([this.#signaling.request("leave", {}).catch(() => undefined), delay(500)]);
    }
    this.#media?.close();
    this.#media = null;
    this.#signaling.close();
    await this.#devices.close();
    this.#update({ phase: "left", link: "idle", selfId: null, people: {} });
  }

  #opened(recovered: boolean): void {
    this.#store.update((state) => withoutNotice(state, "connection"));
    this.#update({ link: "connected" });
    // A recovered session has lost nothing: the server sent the events of the gap.
    if (!recovered || this.#reply === null) void this.#rejoin();
  }

  #dropped(willRetry: boolean): void {
    if (this.#left) return;
    this.#update({ link: "reconnecting" });
    this.#notice("connection", "info", "The connection to the server is lost. Trying again …");
    if (!willRetry) setTimeout(() => !this.#left && this.#signaling.reconnect(), REJOIN_DELAY_MS);
  }

  #failed(error: Error): void {
    if (this.#left) return;
    const refusal = refusalOf(error);
    if (this.#store.get().phase === "joining" || !refusal.mayPass) this.#backToLobby(refusal);
  }

  /** Joins, also for the first time. Runs once at a time; a call during a run is part of it. */
  #rejoin(): Promise<void> {
    this.#joining ??= this.#joinWithPatience().finally(() => {
      this.#joining = null;
    });
    return this.#joining;
  }

  /** The media connection is beyond repair while signalling works: leave and join again. */
  async #startOver(): Promise<void> {
    this.#notice("media", "error", NO_MEDIA_PATH);
    // Refused where the server has let go of us already, which is as good.
    await this.#signaling.request("leave", {}).catch(() => undefined);
    if (!this.#left) await this.#rejoin();
  }

  async #joinWithPatience(): Promise<void> {
    const first = this.#reply === null;
    for (let attempt = 1; !this.#left; attempt += 1) {
      try {
        await this.#join();
        this.#store.update((state) => withoutNotice(state, "connection"));
        return;
      } catch (error) {
        if (this.#left) return;
        this.#media?.close();
        this.#media = null;
        // Without a socket there is nothing to try: #opened comes back here.
        if (!this.#signaling.connected && !first) return;
        const mayPass = error instanceof ServerRefusal && error.mayPass;
        if (first || !mayPass || attempt >= REJOIN_ATTEMPTS) {
          this.#backToLobby(error);
          return;
        }
        await delay(REJOIN_DELAY_MS);
      }
    }
  }

  async #join(): Promise<void> {
    const before = this.#store.get();
    this.#media?.close();
    this.#media = null;
    const reply = await this.#signaling.request("join", {
      roomId: before.roomId,
      name: this.#name,
      hideOriginal: before.hideOriginal,
      // Coming back as the same person; the first time the server or the token decides.
      ...(this.#reply === null ? {} : { identity: this.#reply.identity }),
    });
    this.#reply = reply;
    this.#showJoined(reply);

    const media = await MediaSession.create(this.#signaling, reply, {
      changed: (participantId, slot, entry) => {
        this.#store.update((state) => withTrack(state, participantId, slot, entry));
        if (slot === "audio") syncLips(this.#store, this.#media, participantId);
      },
      connected: () => this.#store.update((state) => withoutNotice(state, "media")),
      lost: () => void this.#startOver(),
      trackFailed: (error) => this.#notice("track", "error", describeError(error)),
    });
    this.#media = media;
    if (reply.grants.view) await media.subscribe(reply.iceServers);
    if (!reply.grants.publish) return;
    await media.openUplink(reply.iceServers);
    this.#devices.onTrack = (source, track) => this.#carry(source, track);
    const look = this.#accepted?.on && reply.grants.transform ? this.#accepted : null;
    // A background goes first: the server then hides the room from the camera's first frame on.
    if (look !== null && look.kind !== "restyle") await this.#restore(look);
    const publishing = this.#carrying.then(() => this.#publishAll(media));
    // A switch in the meantime comes after it, also where it failed.
    this.#carrying = publishing.catch(() => undefined);
    await publishing;
    if (this.#accepted?.on && this.#accepted !== look) await this.#restore(this.#accepted);
    else if (look?.kind === "restyle") await this.#restore(look);
  }

  /** A look from before this join. Without it the stay goes on, and says so. */
  async #restore(look: Draft): Promise<void> {
    try {
      await this.#sendTransform(look);
    } catch (error) {
      if (error instanceof ServerRefusal && error.mayPass) throw error;
      this.#accepted = null;
      this.#notice("transform", "error", describeError(error));
      this.#store.update((state) => ({ ...state, draft: { ...state.draft, on: false } }));
    }
  }

  /** Shows the look that is in force, unless a newer one of our own is on its way. */
  #followOwn({ state: name, settings }: TransformStatus): void {
    if (this.#unanswered > 0) return;
    const { draft } = this.#store.get();
    const next = name === "off" || settings === null ? { ...draft, on: false } : draftOf(settings);
    if (JSON.stringify(next) === JSON.stringify(draft)) return;
    this.#accepted = next;
    this.#store.update((state) => ({ ...state, draft: next }));
  }

  #showJoined(reply: JoinReply): void {
    this.#store.update((state) => {
      const own = {
        participantId: reply.participantId,
        identity: reply.identity,
        name: this.#name,
        joinedAtMs: Date.now(),
        audio: false,
        video: "none" as const,
        transform: null,
        hideOriginal: state.hideOriginal,
      };
      const joined: AppState = {
        ...state,
        phase: "room",
        selfId: reply.participantId,
        mayPublish: reply.grants.publish,
        mayTransform: reply.grants.transform,
        presets: reply.presets,
        suggestions: reply.suggestions,
        promptMaxChars: reply.limits.promptMaxChars,
        people: {},
      };
      return [own, ...reply.participants].reduce(withInfo, joined);
    });
  }

  async #publishAll(media: MediaSession): Promise<void> {
    const { camera, microphone, microphoneOn } = this.#store.get().local;
    if (microphone !== null) {
      await media.publish("microphone", microphone);
      if (!microphoneOn) await media.setPaused("microphone", true);
    }
    if (camera !== null) await media.publish("camera", camera);
  }

  /** A device was switched in the middle of the call: one change after the other. */
  #carry(source: Source, track: MediaStreamTrack | null): void {
    this.#carrying = this.#carrying.then(() => this.#carryNow(source, track));
  }

  async #carryNow(source: Source, track: MediaStreamTrack | null): Promise<void> {
    const media = this.#media;
    if (media === null) return;
    try {
      if (track !== null) {
        await media.publish(source, track);
        await media.setPaused(source, false);
      } else if (source === "camera") {
        await media.unpublish(source);
      } else {
        await media.setPaused(source, true);
      }
    } catch (error) {
      this.#notice(source, "error", describeError(error));
    }
  }

  async #sendTransform(draft: Draft): Promise<void> {
    await this.#signaling.request("transform:set", settingsOf(draft));
  }

  /** The stay cannot begin or go on: say why where the person can try again. */
  #backToLobby(error: unknown): void {
    this.#left = true;
    this.#devices.onTrack = null;
    this.#media?.close();
    this.#media = null;
    this.#signaling.close();
    this.#update({ phase: "lobby", link: "idle", selfId: null, people: {} });
    this.#store.update((state) => withoutNotice(state, "connection"));
    this.#notice("join", "error", describeError(error));
  }

  #update(change: Partial<AppState>): void {
    this.#store.update((state) => ({ ...state, ...change }));
  }

  #notice(id: string, tone: "error" | "info", text: string): void {
    this.#store.update((state) => withNotice(state, { id, tone, text }));
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
