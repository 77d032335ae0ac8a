import type { MediaSession } from "../media/session.ts";
import type { Source } from "../protocol.ts";
import type { LocalMedia } from "../state.ts";

/** What the publisher needs of the media session. */
export type Uplink = Pick<MediaSession, "publish" | "hold" | "setPaused" | "publishes">;

const SOURCES = ["microphone", "camera"] as const;

/**
 * Keeps what is sent in step with the own devices, one change after the other. It compares instead
 * of replaying: whatever happened in between, the last state counts.
 */
export class Publisher {
  readonly #local: () => LocalMedia;
  readonly #failed: (source: Source, error: unknown) => void;
  #uplink: Uplink | null = null;
  #work: Promise<void> = Promise.resolve();

  /**
   * @param local the own devices as they are now
   * @param failed a change in the middle of the call did not work
   */
  constructor(local: () => LocalMedia, failed: (source: Source, error: unknown) => void) {
    this.#local = local;
    this.#failed = failed;
  }

  /** Sends through this session from now on. Rejects where a device cannot be sent. */
  carry(uplink: Uplink | null): Promise<void> {
    this.#uplink = uplink;
    if (uplink === null) return Promise.resolve();
    return this.#enqueue(async () => {
      for (const source of SOURCES) await this.#apply(uplink, source);
    });
  }

  /** A device changed. Problems go to `failed`. */
  sync(source: Source): Promise<void> {
    return this.#enqueue(async () => {
      const uplink = this.#uplink;
      if (uplink === null) return;
      // A session that was closed under the change is no news: the next one carries it.
      await this.#apply(uplink, source).catch((error: unknown) => {
        if (uplink === this.#uplink) this.#failed(source, error);
      });
    });
  }

  /** Resolves when all changes so far are made. */
  idle(): Promise<void> {
    return this.#work;
  }

  #enqueue(task: () => Promise<void>): Promise<void> {
    const done = this.#work.then(task);
    this.#work = done.catch(() => undefined);
    return done;
  }

  async #apply(uplink: Uplink, source: Source): Promise<void> {
    const local = this.#local();
    const track = local[source];
    if (track === null || track.readyState === "ended") {
      await uplink.hold(source);
      return;
    }
    const camera = source === "camera";
    const silent = camera ? local.cameraInterrupted : local.microphoneInterrupted;
    const wanted = camera ? local.cameraOn : local.microphoneOn;
    // A track that gives nothing for now stays: only its flow is held.
    const held = silent || !wanted;
    if (!held || !uplink.publishes(source)) await uplink.publish(source, track);
    await uplink.setPaused(source, held);
  }
}
