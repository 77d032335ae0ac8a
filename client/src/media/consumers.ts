import type { types } from "mediasoup-client";
import type { NewConsumer } from "../protocol.ts";
import { clientParameters } from "./wire-types.ts";

/** Which of a participant's three possible tracks a consumer carries. */
export type Slot = "original" | "generated" | "audio";

/** A track that the server sends us. */
export interface ConsumerEntry {
  readonly participantId: string;
  readonly slot: Slot;
  readonly consumer: types.Consumer;
  /** False while the server holds the track back. */
  flowing: boolean;
}

/** What the registry tells its owner. */
export interface ConsumerListener {
  /** A track is there, changed between flowing and held back, or is gone (`entry` null). */
  changed(participantId: string, slot: Slot, entry: ConsumerEntry | null): void;
}

/**
 * The consumers of this page. The server decides which exist and which flow; this class follows.
 * A consumer that the server closes while it is still being set up is dropped when it is ready.
 */
export class Consumers {
  readonly #entries = new Map<string, ConsumerEntry>();
  /** Announced and not set up yet, with the wanted state so far. */
  readonly #pending = new Map<string, { flowing: boolean }>();
  readonly #listener: ConsumerListener;

  constructor(listener: ConsumerListener) {
    this.#listener = listener;
  }

  /**
   * Sets an announced track up and tells the server that it may flow.
   * `ready` sends consumer:ready. Throws what mediasoup-client or `ready` throws.
   */
  async add(
    transport: types.Transport,
    message: NewConsumer,
    ready: (consumerId: string) => Promise<unknown>,
  ): Promise<void> {
    const wanted = { flowing: !message.paused };
    this.#pending.set(message.consumerId, wanted);
    const consumer = await transport.consume({
      id: message.consumerId,
      producerId: message.producerId,
      kind: message.kind,
      rtpParameters: clientParameters(message.rtpParameters),
      streamId: syncGroup(message),
    });
    if (!this.#pending.delete(message.consumerId)) {
      consumer.close();
      return;
    }
    const slot = message.kind === "audio" ? "audio" : message.track;
    const entry: ConsumerEntry = {
      participantId: message.participantId,
      slot,
      consumer,
      flowing: wanted.flowing,
    };
    this.#entries.set(message.consumerId, entry);
    this.#listener.changed(message.participantId, slot, entry);
    await ready(message.consumerId);
  }

  /** The server lets a track flow or holds it back. Unknown ids are late messages: ignored. */
  setFlowing(consumerId: string, flowing: boolean): void {
    const pending = this.#pending.get(consumerId);
    if (pending !== undefined) pending.flowing = flowing;
    const entry = this.#entries.get(consumerId);
    if (entry === undefined || entry.flowing === flowing) return;
    entry.flowing = flowing;
    this.#listener.changed(entry.participantId, entry.slot, entry);
  }

  /** The server closed a track. */
  remove(consumerId: string): void {
    this.#pending.delete(consumerId);
    const entry = this.#entries.get(consumerId);
    if (entry === undefined) return;
    this.#entries.delete(consumerId);
    entry.consumer.close();
    // A newer consumer of the same slot may have taken the place already.
    const successor = this.find(entry.participantId, entry.slot);
    this.#listener.changed(entry.participantId, entry.slot, successor);
  }

  /** The newest consumer of a participant's slot, or null. */
  find(participantId: string, slot: Slot): ConsumerEntry | null {
    let found: ConsumerEntry | null = null;
    for (const entry of this.#entries.values()) {
      if (entry.participantId === participantId && entry.slot === slot) found = entry;
    }
    return found;
  }

  all(): ConsumerEntry[] {
    return [...this.#entries.values()];
  }

  /** Closes everything. The listener is not told: the owner is going away or starting anew. */
  clear(): void {
    this.#pending.clear();
    for (const entry of this.#entries.values()) entry.consumer.close();
    this.#entries.clear();
  }
}

/**
 * The stream id that a track is received under. The browser syncs the voice with one picture of
 * the same stream id, and takes any where there are several: so the generated picture, whose delay
 * needs it, shares the voice's id, and the original, which arrives with the voice, has its own.
 */
function syncGroup({ kind, track, streamId }: NewConsumer): string {
  return kind === "video" && track === "original" ? `${streamId}-original` : streamId;
}
