import type { types } from "mediasoup-client";
import type { NewConsumer } from "../protocol.ts";
import type { ReadyBatch } from "../signaling/ready-batch.ts";
import { compareConsumers } from "./reconcile.ts";
import { clientParameters } from "./wire-types.ts";

/** Which of a participant's three possible tracks a consumer carries. */
export type Slot = "original" | "generated" | "audio";

/** A few frames of the page's own rendering. */
const CLOSE_AFTER_MS = 100;

/** A track that the server sends us. */
export interface ConsumerEntry {
  readonly participantId: string;
  readonly slot: Slot;
  readonly consumer: types.Consumer;
  /** False while the server holds the track back. */
  flowing: boolean;
}

/** What the registry needs of a mediasoup-client transport. */
export interface ConsumeTransport {
  consume(options: types.ConsumerOptions): Promise<types.Consumer>;
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
  readonly #ready: Pick<ReadyBatch, "add" | "forget">;

  /** @param ready told of every track that is set up, so that the server lets it flow */
  constructor(listener: ConsumerListener, ready: Pick<ReadyBatch, "add" | "forget">) {
    this.#listener = listener;
    this.#ready = ready;
  }

  /**
   * Sets an announced track up. One that is there already, or on its way, is left as it is.
   * Throws what mediasoup-client throws.
   */
  async add(transport: ConsumeTransport, message: NewConsumer): Promise<void> {
    if (this.#pending.has(message.consumerId) || this.#entries.has(message.consumerId)) return;
    const wanted = { flowing: !message.paused };
    this.#pending.set(message.consumerId, wanted);
    let consumer: types.Consumer;
    try {
      consumer = await transport.consume({
        id: message.consumerId,
        producerId: message.producerId,
        kind: message.kind,
        rtpParameters: clientParameters(message.rtpParameters),
        streamId: syncGroup(message),
      });
    } catch (error) {
      this.#pending.delete(message.consumerId);
      throw error;
    }
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
    this.#ready.add(message.consumerId);
  }

  /** Makes this page agree with the server's list of its tracks, after an interruption. */
  reconcile(transport: ConsumeTransport, listed: readonly NewConsumer[]): Promise<unknown> {
    const have = [...this.#entries].map(([consumerId, { flowing }]) => ({ consumerId, flowing }));
    for (const [consumerId, { flowing }] of this.#pending) have.push({ consumerId, flowing });
    const { close, add, flow } = compareConsumers(have, listed);
    for (const consumerId of close) this.remove(consumerId);
    for (const { consumerId, flowing } of flow) this.setFlowing(consumerId, flowing);
    // Whether the server heard of them before the interruption is not known: once more is harmless.
    for (const consumerId of this.#entries.keys()) this.#ready.add(consumerId);
    return Promise.all(add.map((message) => this.add(transport, message)));
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
    this.#ready.forget(consumerId);
    const entry = this.#entries.get(consumerId);
    if (entry === undefined) return;
    this.#entries.delete(consumerId);
    // The page may copy the last frame first: a closed track has none.
    setTimeout(() => entry.consumer.close(), CLOSE_AFTER_MS);
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
