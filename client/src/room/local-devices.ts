import { openCamera, openMicrophone } from "../media/devices.ts";
import type { Source } from "../media/session.ts";
import { describeError } from "../signaling/errors.ts";
import { type AppState, type LocalMedia, withNotice, withoutNotice } from "../state.ts";
import type { Store } from "../store.ts";

/** Told when a device's track is there, was replaced, or is off (null). */
export type TrackListener = (source: Source, track: MediaStreamTrack | null) => void;

/**
 * The own camera and microphone, from the lobby's preview to the end of the call.
 * Off means really off: the device is released and its light goes out. Only a mute keeps the
 * microphone open, because reopening it would cost the first words.
 */
export class LocalDevices {
  readonly #store: Store<AppState>;
  /** One change after the other: two quick clicks must not open a device twice. */
  #work: Promise<void> = Promise.resolve();
  #listener: TrackListener | null = null;

  constructor(store: Store<AppState>) {
    this.#store = store;
  }

  /** Who carries the tracks into the room; null when nobody does. */
  set onTrack(listener: TrackListener | null) {
    this.#listener = listener;
  }

  /** Opens what is wanted and not open yet. Problems become notices. */
  open(): Promise<void> {
    return this.#enqueue(async () => {
      await this.#ensure("camera");
      await this.#ensure("microphone");
    });
  }

  /** Turns a device on or off. */
  setOn(source: Source, on: boolean): Promise<void> {
    return this.#enqueue(async () => {
      this.#change(source === "camera" ? { cameraOn: on } : { microphoneOn: on });
      if (on) {
        // A muted microphone is still open; anything else is opened, enabled, by #ensure.
        if (this.#store.get().local[source] === null) await this.#ensure(source);
        else this.#enable(source, true);
      } else if (source === "camera") {
        this.#release("camera");
      } else {
        this.#enable("microphone", false);
      }
    });
  }

  /** Changes to another device. */
  choose(source: Source, deviceId: string): Promise<void> {
    return this.#enqueue(async () => {
      this.#change(source === "camera" ? { cameraId: deviceId } : { microphoneId: deviceId });
      this.#release(source);
      if (this.#wanted(source)) await this.#ensure(source);
    });
  }

  /** Releases both devices. */
  close(): Promise<void> {
    return this.#enqueue(async () => {
      this.#release("camera");
      this.#release("microphone");
    });
  }

  #enqueue(task: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(task);
    return this.#work;
  }

  async #ensure(source: Source): Promise<void> {
    const { local } = this.#store.get();
    if (!this.#wanted(source) || local[source] !== null) return;
    try {
      const track =
        source === "camera"
          ? await openCamera(local.cameraId)
          : await openMicrophone(local.microphoneId);
      // Unplugging ends the track without any call of ours.
      track.addEventListener("ended", () => this.#ended(source, track));
      this.#change({ [source]: track });
      this.#store.update((state) => withoutNotice(state, source));
      this.#listener?.(source, track);
    } catch (error) {
      this.#change(source === "camera" ? { cameraOn: false } : { microphoneOn: false });
      this.#notice(source, describeError(error));
    }
  }

  #enable(source: Source, enabled: boolean): void {
    const track = this.#store.get().local[source];
    if (track === null) return;
    track.enabled = enabled;
    this.#listener?.(source, enabled ? track : null);
  }

  #release(source: Source): void {
    const track = this.#store.get().local[source];
    if (track === null) return;
    track.stop();
    this.#change({ [source]: null });
    this.#listener?.(source, null);
  }

  #ended(source: Source, track: MediaStreamTrack): void {
    if (this.#store.get().local[source] !== track) return;
    this.#change(
      source === "camera"
        ? { camera: null, cameraOn: false }
        : { microphone: null, microphoneOn: false },
    );
    this.#notice(
      source,
      `The ${source} stopped, perhaps because it was unplugged. Turn it on again when it is back.`,
    );
    this.#listener?.(source, null);
  }

  #wanted(source: Source): boolean {
    const { local } = this.#store.get();
    return source === "camera" ? local.cameraOn : local.microphoneOn;
  }

  #change(change: Partial<LocalMedia>): void {
    this.#store.update((state) => ({ ...state, local: { ...state.local, ...change } }));
  }

  #notice(source: Source, text: string): void {
    this.#store.update((state) => withNotice(state, { id: source, tone: "error", text }));
  }
}
