import { MediaSession } from "../media/session.ts";
import { SignalingClient } from "../signaling/client.ts";
import { describeError, refusalOf } from "../signaling/errors.ts";
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

/**
 * Tries a look in the lobby, before going live: the camera goes to a room of its own on the server,
 * which nobody else can enter, and the repainted picture comes back.
 */
export class Preview {
  readonly #store: Store<AppState>;
  readonly #devices: LocalDevices;
  readonly #signaling: SignalingClient;
  #media: MediaSession | null = null;
  readonly #opened: Promise<void>;
  #closed = false;

  /** roomId, token: the room that is to be joined later; whoever may join it may try looks. */
  constructor(
    store: Store<AppState>,
    devices: LocalDevices,
    { roomId, token }: { roomId: string; token: string | null },
  ) {
    this.#store = store;
    this.#devices = devices;
    this.#show({ phase: "connecting", track: null, state: "off", reason: "" });
    store.update((state) => withoutNotice(state, "preview"));
    let ready: () => void = () => undefined;
    let refused: (error: Error) => void = () => undefined;
    const connected = new Promise<void>((resolve, reject) => {
      ready = resolve;
      refused = reject;
    });
    this.#signaling = new SignalingClient(token, {
      opened: () => ready(),
      // Nothing of it is worth a second try that nobody asked for.
      dropped: () => this.#fail("The connection to the server is lost."),
      failed: (error) => refused(refusalOf(error)),
    });
    this.#opened = connected.then(() => this.#open(roomId));
    this.#opened.catch((error: unknown) => this.#fail(describeError(error)));
  }

  /** Shows a look. Refusals become notices. */
  async setLook(draft: Draft): Promise<void> {
    this.#store.update((state) => ({ ...state, draft }));
    try {
      await this.#opened;
      if (this.#closed) return;
      await this.#signaling.request("transform:set", settingsOf(draft));
      this.#store.update((state) => withoutNotice(state, "preview"));
    } catch (error) {
      if (!this.#closed) this.#notice(describeError(error));
      this.#store.update((state) => ({ ...state, draft: { ...state.draft, on: false } }));
    }
  }

  /** Ends it; the server forgets the room. Safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#devices.onTrack = null;
    this.#media?.close();
    this.#signaling.close();
    this.#show(null);
  }

  async #open(roomId: string): Promise<void> {
    const reply = await this.#signaling.request("join", { roomId, name: "preview", preview: true });
    const own = reply.participantId;
    this.#store.update((state) => ({
      ...state,
      presets: reply.presets,
      suggestions: reply.suggestions,
      promptMaxChars: reply.limits.promptMaxChars,
      mayTransform: reply.grants.transform,
    }));
    const media = await MediaSession.create(this.#signaling, reply, {
      changed: (participantId, slot, entry) => {
        if (participantId !== own || slot !== "generated") return;
        this.#change({ track: entry?.flowing ? entry.consumer.track : null });
      },
      connected: () => undefined,
      lost: () => this.#fail("Picture and sound do not get through to the server."),
      trackFailed: (error) => this.#notice(describeError(error)),
    });
    if (this.#closed) return media.close();
    this.#media = media;
    this.#follow(media, own);
    await media.subscribe(reply.iceServers);
    await media.openUplink(reply.iceServers);
    this.#devices.onTrack = (source, track) => {
      if (source === "camera") void this.#carry(track);
    };
    await this.#carry(this.#store.get().local.camera);
    this.#change({ phase: "open" });
  }

  #follow(media: MediaSession, own: string): void {
    const { consumers } = media;
    this.#signaling.on("consumer:new", (message) => media.announce(message));
    this.#signaling.on("consumer:closed", ({ consumerId }) => consumers.remove(consumerId));
    this.#signaling.on("consumer:paused", ({ consumerId }) =>
      consumers.setFlowing(consumerId, false),
    );
    this.#signaling.on("consumer:resumed", ({ consumerId }) =>
      consumers.setFlowing(consumerId, true),
    );
    this.#signaling.on("transform:state", (status) => {
      if (status.participantId === own)
        this.#change({ state: status.state, reason: status.reason });
    });
    this.#signaling.on("room:rebuilt", () => this.#fail("The server had to begin anew."));
  }

  async #carry(track: MediaStreamTrack | null): Promise<void> {
    try {
      if (track === null) await this.#media?.unpublish("camera");
      else await this.#media?.publish("camera", track);
    } catch (error) {
      this.#notice(describeError(error));
    }
  }

  #fail(text: string): void {
    if (this.#closed) return;
    this.close();
    this.#store.update((state) => ({ ...state, draft: { ...state.draft, on: false } }));
    this.#notice(`The preview ended. ${text}`);
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
