import { type DeviceList, DeviceProblem, listDevices, openDevice } from "../media/devices.ts";
import { alreadyAllowed, type PermissionAccess } from "../media/permissions.ts";
import { watchTrack } from "../media/track-watch.ts";
import type { Source } from "../protocol.ts";
import { describeError } from "../signaling/errors.ts";
import { type AppState, type LocalMedia, withNotice, withoutNotice } from "../state.ts";
import type { Store } from "../store.ts";

/** Told when something about a device changed: its track, or whether it gives anything. */
export type TrackListener = (source: Source) => void;

/** The browser's devices, or a test's own. */
export interface DeviceEnvironment {
  /** Browsers leave it out on plain http pages of other hosts. */
  media: Pick<MediaDevices, "getUserMedia" | "enumerateDevices" | "addEventListener"> | undefined;
  permissions: PermissionAccess | undefined;
  /** Keeps which devices were chosen. */
  storage: Pick<Storage, "getItem" | "setItem">;
  /** Whether the person looks at the page: browsers open no device for one in the background. */
  visible(): boolean;
  /** Calls back when the person looks at the page again. */
  onVisible(listener: () => void): void;
}

const SOURCES = ["camera", "microphone"] as const;

/**
 * The own camera and microphone, from the lobby's preview to the end of the call.
 * Off means really off: the device is released and its light goes out. Only a mute keeps the
 * microphone open, because reopening it would cost the first words. A device that goes away without
 * being asked to is replaced by another, or comes back by itself.
 */
export class LocalDevices {
  readonly #store: Store<AppState>;
  readonly #environment: DeviceEnvironment;
  /** One change after the other: two quick clicks must not open a device twice. */
  #work: Promise<void> = Promise.resolve();
  #listener: TrackListener | null = null;
  readonly #unwatch: Record<Source, () => void> = {
    camera: () => undefined,
    microphone: () => undefined,
  };
  /**
   * Sources that were open and went away, with the device's id: to be opened again when there is
   * reason to hope.
   */
  readonly #lost = new Map<Source, string>();

  constructor(store: Store<AppState>, environment: DeviceEnvironment = browserDevices()) {
    this.#store = store;
    this.#environment = environment;
    for (const source of SOURCES) {
      const id = environment.storage.getItem(storageKey(source));
      if (id !== null) this.#change({ [`${source}Id`]: id });
    }
    const heal = (): void => void this.#enqueue(() => this.#heal());
    environment.media?.addEventListener("devicechange", heal);
    environment.onVisible(heal);
  }

  /** Who carries the tracks into the room; null when nobody does. */
  set onTrack(listener: TrackListener | null) {
    this.#listener = listener;
  }

  /** Opens the devices if that asks nobody anything; otherwise they wait for `open`. */
  async openIfAllowed(): Promise<void> {
    if (await alreadyAllowed(this.#environment.permissions)) await this.open();
  }

  /**
   * Opens what is wanted and not open yet; the browser asks the person where it has to. Problems
   * become notices.
   */
  open(): Promise<void> {
    return this.#enqueue(async () => {
      this.#change({ asked: true });
      for (const source of SOURCES) await this.#ensure(source);
    });
  }

  /** Turns a device on or off. */
  setOn(source: Source, on: boolean): Promise<void> {
    return this.#enqueue(async () => {
      this.#change({ [`${source}On`]: on });
      this.#lost.delete(source);
      if (!on && source === "camera") this.#release("camera");
      // A muted microphone stays open.
      else if (!on) this.#enable(source, false);
      else if (this.#store.get().local[source] !== null) this.#enable(source, true);
      else {
        this.#change({ asked: true });
        await this.#ensure(source);
      }
    });
  }

  /** Changes to another device. What is sent goes on with its picture or sound. */
  choose(source: Source, deviceId: string): Promise<void> {
    this.#environment.storage.setItem(storageKey(source), deviceId);
    return this.#enqueue(async () => {
      this.#change({ [`${source}Id`]: deviceId });
      const before = this.#store.get().local[source];
      if (before === null) {
        if (this.#wanted(source)) await this.#ensure(source);
        return;
      }
      // Phones open one camera at a time: the old one ends first, its last frame stays.
      this.#unwatch[source]();
      before.stop();
      await this.#openNow(source, before.enabled);
    });
  }

  /** Cameras and microphones there are. */
  list(): Promise<DeviceList> {
    return listDevices(this.#environment.media);
  }

  /** Releases both devices. */
  close(): Promise<void> {
    return this.#enqueue(async () => {
      this.#lost.clear();
      for (const source of SOURCES) this.#release(source);
    });
  }

  #enqueue(task: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(task);
    return this.#work;
  }

  async #ensure(source: Source): Promise<void> {
    if (!this.#wanted(source) || this.#store.get().local[source] !== null) return;
    await this.#openNow(source, true);
  }

  async #openNow(source: Source, enabled: boolean): Promise<void> {
    const id = this.#store.get().local[`${source}Id`];
    try {
      const { track, substituted } = await openDevice(this.#environment.media, source, id);
      track.enabled = enabled;
      this.#take(source, track);
      if (substituted) {
        const name = track.label === "" ? "another one" : `“${track.label}”`;
        this.#notice(source, "info", `The ${source} that you chose is not there: ${name} is used.`);
      } else if (!this.#lost.has(source)) {
        this.#store.update((state) => withoutNotice(state, source));
      }
      this.#lost.delete(source);
    } catch (error) {
      this.#failed(source, error);
    }
  }

  #take(source: Source, track: MediaStreamTrack): void {
    this.#unwatch[source]();
    this.#unwatch[source] = watchTrack(track, {
      interrupted: (interrupted) => {
        this.#change({ [`${source}Interrupted`]: interrupted });
        this.#listener?.(source);
      },
      ended: () => void this.#enqueue(() => this.#ended(source, track)),
    });
    this.#change({ [source]: track, [`${source}Interrupted`]: false });
    this.#listener?.(source);
  }

  #failed(source: Source, error: unknown): void {
    const lost = this.#lost.has(source);
    this.#change({ [source]: null, [`${source}Interrupted`]: lost });
    this.#listener?.(source);
    // One that was there before is waited for; one that never was is off.
    if (lost && error instanceof DeviceProblem && error.reason !== "denied") return;
    this.#lost.delete(source);
    this.#change({ [`${source}On`]: false, [`${source}Interrupted`]: false });
    this.#notice(source, "error", describeError(error));
  }

  /** The system ended a track: unplugged, or taken away. Another device takes its place. */
  async #ended(source: Source, track: MediaStreamTrack): Promise<void> {
    if (this.#store.get().local[source] !== track) return;
    this.#lost.set(source, track.getSettings().deviceId ?? "");
    this.#unwatch[source]();
    this.#change({ [source]: null, [`${source}Interrupted`]: true });
    this.#listener?.(source);
    const what = track.label === "" ? `The ${source}` : `The ${source} “${track.label}”`;
    this.#notice(
      source,
      "info",
      `${what} stopped, perhaps because it was unplugged. It comes back by itself, or choose another.`,
    );
    await this.#recover(source, what);
  }

  /** Devices were plugged in or out, or the person is back. */
  async #heal(): Promise<void> {
    const list = await this.list();
    for (const source of SOURCES) {
      const track = this.#store.get().local[source];
      const options = source === "camera" ? list.cameras : list.microphones;
      const id = track?.getSettings().deviceId ?? "";
      const named = options.some((option) => option.id === id);
      // Some browsers unplug without ending the track.
      if (track !== null && id !== "" && options.length > 0 && !named) {
        track.stop();
        await this.#ended(source, track);
      } else if (this.#lost.has(source)) {
        await this.#recover(source, `The ${source}`);
      }
    }
  }

  async #recover(source: Source, what: string): Promise<void> {
    if (!this.#wanted(source) || !this.#environment.visible()) return;
    const before = this.#lost.get(source);
    await this.#openNow(source, true);
    const track = this.#store.get().local[source];
    if (track === null) return;
    if (track.getSettings().deviceId === before) {
      this.#store.update((state) => withoutNotice(state, source));
      return;
    }
    const name = track.label === "" ? "another one" : `“${track.label}”`;
    this.#notice(source, "info", `${what} was interrupted. ${capital(name)} is used now.`);
  }

  #enable(source: Source, enabled: boolean): void {
    const track = this.#store.get().local[source];
    if (track === null) return;
    track.enabled = enabled;
    this.#listener?.(source);
  }

  #release(source: Source): void {
    const track = this.#store.get().local[source];
    this.#unwatch[source]();
    track?.stop();
    this.#change({ [source]: null, [`${source}Interrupted`]: false });
    if (track !== null) this.#listener?.(source);
  }

  #wanted(source: Source): boolean {
    return this.#store.get().local[`${source}On`];
  }

  #change(change: Partial<LocalMedia>): void {
    this.#store.update((state) => ({ ...state, local: { ...state.local, ...change } }));
  }

  #notice(source: Source, tone: "error" | "info", text: string): void {
    this.#store.update((state) => withNotice(state, { id: source, tone, text }));
  }
}

function storageKey(source: Source): string {
  return `driftless.${source}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function browserDevices(): DeviceEnvironment {
  return {
    media: navigator.mediaDevices,
    permissions: navigator.permissions,
    storage: localStorage,
    visible: () => document.visibilityState === "visible",
    onVisible: (listener) =>
      document.addEventListener("visibilitychange", () => {
        if (document.visibilityState === "visible") listener();
      }),
  };
}
