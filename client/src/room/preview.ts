import type { ConsumerEntry, Slot } from "../media/consumers.ts";
import type { MediaSession } from "../media/session.ts";
import type { ClientMessage, JoinReply } from "../protocol.ts";
import { describeError } from "../signaling/errors.ts";
import {
  type AppState,
  type Draft,
  type PreviewState,
  withNotice,
  withoutNotice,
} from "../state.ts";
import type { Store } from "../store.ts";
import { settingsOf } from "./draft.ts";
import type { LocalDevices } from "./local-devices.ts";
import { Publisher } from "./publisher.ts";
import { Stay, type StayListener } from "./stay.ts";

/**
 * Tries a look in the lobby, before going live: the camera goes to a room of its own on the server,
 * which nobody else can enter, and the repainted picture comes back.
 */
export class Preview implements StayListener {
  readonly #store: Store<AppState>;
  readonly #devices: LocalDevices;
  readonly #place: { roomId: string; token: string | null };
  readonly #publisher: Publisher;
  readonly #stay: Stay;
  #selfId = "";
  /** The first look is sent by `setLook`; after a lost stay it is sent again. */
  #again = false;
  #closed = false;

  /** @param place the room that is to be joined later; whoever may join it may try looks */
  constructor(
    store: Store<AppState>,
    devices: LocalDevices,
    place: { roomId: string; token: string | null },
  ) {
    this.#store = store;
    this.#devices = devices;
    this.#place = place;
    // Only the picture is tried: nobody is there to listen.
    this.#publisher = new Publisher(
      () => ({ ...store.get().local, microphone: null }),
      (_source, error) => this.#notice(describeError(error)),
    );
    this.#show({ phase: "connecting", track: null, state: "off", reason: "", queue: null });
    store.update((state) => withoutNotice(state, "preview"));
    this.#stay = new Stay(this);
    this.#stay.on("transform:state", ({ participantId, state, reason, queue }) => {
      if (participantId === this.#selfId) this.#change({ state, reason, queue });
    });
    this.#stay.on("transform:refused", ({ message }) => this.#refused(message));
  }

  /** Shows a look. Refusals become notices. */
  async setLook(draft: Draft): Promise<void> {
    this.#store.update((state) => ({ ...state, draft }));
    try {
      await this.#stay.whenJoined();
      await this.#publisher.idle();
      if (this.#closed) return;
      const { hideOriginal } = this.#store.get();
      await this.#stay.request("transform:set", settingsOf(draft, hideOriginal));
      this.#store.update((state) => withoutNotice(state, "preview"));
    } catch (error) {
      if (!this.#closed) this.#refused(describeError(error));
    }
  }

  /** Ends it; the server forgets the room. Safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.#release();
    void this.#stay.leave();
  }

  token(): string | null {
    return this.#place.token;
  }

  joinMessage(): Omit<ClientMessage<"join">, "resume" | "identity"> {
    const { hideOriginal } = this.#store.get();
    return { roomId: this.#place.roomId, name: "preview", preview: true, hideOriginal };
  }

  moved(state: string): void {
    if (!this.#closed) this.#change({ phase: state === "joined" ? "open" : "connecting" });
  }

  joined(reply: JoinReply): void {
    this.#selfId = reply.participantId;
    this.#store.update((state) => ({
      ...state,
      presets: reply.presets,
      suggestions: reply.suggestions,
      promptMaxChars: reply.limits.promptMaxChars,
      mayTransform: reply.grants.transform,
    }));
  }

  async ready(media: MediaSession, reply: JoinReply): Promise<void> {
    this.#devices.onTrack = (source) => void this.#publisher.sync(source);
    await this.#publisher.carry(media);
    const { draft, hideOriginal } = this.#store.get();
    const repeat = this.#again && !reply.resumed && draft.on;
    this.#again = true;
    if (repeat) await this.#stay.request("transform:set", settingsOf(draft, hideOriginal));
  }

  changed(participantId: string, slot: Slot, entry: ConsumerEntry | null): void {
    if (participantId !== this.#selfId || slot !== "generated") return;
    this.#change({ track: entry?.flowing ? entry.consumer.track : null });
  }

  mediaConnected(): void {}

  mediaLost(): void {
    this.#notice("Picture and sound do not get through to the server. Trying again …");
  }

  trackFailed(error: unknown): void {
    this.#notice(describeError(error));
  }

  ended(error: unknown): void {
    if (this.#closed) return;
    this.#release();
    this.#off();
    this.#notice(`The preview ended. ${describeError(error)}`);
  }

  #release(): void {
    this.#closed = true;
    this.#devices.onTrack = null;
    this.#publisher.carry(null).catch(() => undefined);
    this.#show(null);
  }

  #refused(text: string): void {
    this.#notice(text);
    this.#off();
  }

  #off(): void {
    this.#store.update((state) => ({ ...state, draft: { ...state.draft, on: false } }));
  }

  #show(preview: PreviewState | null): void {
    this.#store.update((state) => ({ ...state, preview }));
  }

  #change(change: Partial<PreviewState>): void {
    const { preview } = this.#store.get();
    if (preview !== null) this.#show({ ...preview, ...change });
  }

  #notice(text: string): void {
    this.#store.update((state) => withNotice(state, { id: "preview", tone: "error", text }));
  }
}
