/**
 * The consumers of one viewer. The room says which tracks of which publisher the viewer should have;
 * the feed makes the consumers agree with it. What is not planned any more is closed at once; what
 * is to be opened or changed happens in the background, one step at a time.
 */
import type { types as ms } from "mediasoup";
import type { TrackRef } from "../domain/tracks.ts";
import type { PlannedTrack, TileView } from "../domain/view-plan.ts";
import { spatialLayerFor } from "../domain/view-plan.ts";
import { DriftlessError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { NewConsumer } from "./types.ts";

export interface FeedEvents {
  opened(consumer: NewConsumer): void;
  closed(consumerId: string): void;
  paused(consumerId: string): void;
  resumed(consumerId: string): void;
}

/** Opens a paused consumer; undefined where the viewer may not have it, or cannot play it. */
export type OpenConsumer = (
  track: TrackRef,
) => Promise<ms.Consumer | "forbidden" | "unplayable" | undefined>;

interface Entry {
  track: TrackRef;
  consumer: ms.Consumer;
  /** The viewer has set the track up; nothing may flow before. */
  ready: boolean;
  /** As the viewer was told last. */
  flowing: boolean;
  layer: number | undefined;
}

export class ViewerFeed {
  readonly transport: ms.WebRtcTransport;
  readonly #openConsumer: OpenConsumer;
  readonly #viewOf: (participantId: string) => TileView | undefined;
  readonly #events: FeedEvents;
  readonly #logger: Logger;
  /** By track id. */
  readonly #entries = new Map<string, Entry>();
  readonly #byConsumer = new Map<string, Entry>();
  /** Planned tracks by id, of all publishers. */
  readonly #plan = new Map<string, PlannedTrack>();
  readonly #byPublisher = new Map<string, PlannedTrack[]>();
  /** Tracks that may not agree with the plan yet. */
  readonly #dirty = new Set<string>();
  /** Tracks whose codec this viewer cannot play, for as long as they are planned. */
  readonly #unplayable = new Set<string>();
  #working: Promise<void> | undefined;
  #closed = false;

  constructor(options: {
    transport: ms.WebRtcTransport;
    openConsumer: OpenConsumer;
    viewOf: (participantId: string) => TileView | undefined;
    events: FeedEvents;
    logger: Logger;
  }) {
    this.transport = options.transport;
    this.#openConsumer = options.openConsumer;
    this.#viewOf = options.viewOf;
    this.#events = options.events;
    this.#logger = options.logger;
    // The consumers die with it, and may be gone before each says so.
    options.transport.observer.once("close", () => this.close());
  }

  /** The consumers as they are, for a connection that came back. */
  get consumers(): NewConsumer[] {
    return [...this.#entries.values()].map(describe);
  }

  /** Takes the newest plan for one publisher's tracks. */
  update(publisherId: string, plan: PlannedTrack[]): void {
    if (this.#closed) return;
    const planned = new Set(plan.map(({ track }) => track.id));
    for (const { track } of this.#byPublisher.get(publisherId) ?? []) {
      if (planned.has(track.id)) continue;
      this.#plan.delete(track.id);
      this.#unplayable.delete(track.id);
      this.#entries.get(track.id)?.consumer.close();
    }
    if (plan.length === 0) this.#byPublisher.delete(publisherId);
    else this.#byPublisher.set(publisherId, plan);
    for (const each of plan) {
      this.#plan.set(each.track.id, each);
      this.#dirty.add(each.track.id);
    }
    this.#work();
  }

  /** The viewer has set this consumer up. @returns false for one that it does not have */
  ready(consumerId: string): boolean {
    const entry = this.#byConsumer.get(consumerId);
    if (entry === undefined) return false;
    entry.ready = true;
    this.#dirty.add(entry.track.id);
    this.#work();
    return true;
  }

  /** @throws DriftlessError NOT_FOUND for a consumer that is not this viewer's. */
  requireReady(consumerId: string): void {
    if (!this.ready(consumerId)) {
      throw new DriftlessError("NOT_FOUND", `You have no consumer "${consumerId}".`);
    }
  }

  /** Closes the consumers; their transport stays. Safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#plan.clear();
    this.#dirty.clear();
    for (const { consumer } of [...this.#entries.values()]) consumer.close();
  }

  #work(): void {
    this.#working ??= this.#reconcile().finally(() => {
      this.#working = undefined;
      // Something may have come between the last look and the end.
      if (this.#dirty.size > 0) this.#work();
    });
  }

  async #reconcile(): Promise<void> {
    // Lets the changes of one event come together.
    await undefined;
    while (this.#dirty.size > 0 && !this.#closed) {
      const trackId = this.#next();
      this.#dirty.delete(trackId);
      const planned = this.#plan.get(trackId);
      if (planned === undefined) continue;
      try {
        await this.#apply(planned);
      } catch (err) {
        // The track or the transport may have closed meanwhile; that shows in the next plan.
        if (!this.#closed && this.#plan.has(trackId) && !this.transport.closed) {
          this.#logger.warn({ err, trackId }, "a track cannot be sent to a viewer");
        }
      }
    }
  }

  /** Voices first, then pictures that flow: a picture's key frame takes longest. */
  #next(): string {
    let best: string | undefined;
    let bestRank = Number.POSITIVE_INFINITY;
    for (const trackId of this.#dirty) {
      const planned = this.#plan.get(trackId);
      const rank =
        planned === undefined || planned.track.kind === "audio" ? 0 : planned.flowing ? 1 : 2;
      if (rank < bestRank) [best, bestRank] = [trackId, rank];
      if (bestRank === 0) break;
    }
    return best as string;
  }

  async #apply(planned: PlannedTrack): Promise<void> {
    const entry = this.#entries.get(planned.track.id) ?? (await this.#open(planned));
    if (entry === undefined) return;
    await this.#applyLayer(entry);
    const { consumer } = entry;
    // The newest plan counts: it may have changed while the consumer was opened.
    const flowing = this.#plan.get(entry.track.id)?.flowing ?? false;
    const flow = entry.ready && flowing;
    // Resuming a video consumer also asks its sender for a key frame.
    if (flow && consumer.paused) await consumer.resume();
    else if (!flow && !consumer.paused) await consumer.pause();
    if (entry.flowing !== flowing && !consumer.closed) {
      entry.flowing = flowing;
      if (flowing) this.#events.resumed(consumer.id);
      else this.#events.paused(consumer.id);
    }
  }

  async #open({ track }: PlannedTrack): Promise<Entry | undefined> {
    if (this.#unplayable.has(track.id)) return undefined;
    const consumer = await this.#openConsumer(track);
    if (consumer === "unplayable") {
      this.#unplayable.add(track.id);
      this.#logger.warn({ trackId: track.id }, "a viewer cannot play this codec");
      return undefined;
    }
    if (consumer === undefined || consumer === "forbidden") return undefined;
    const planned = this.#plan.get(track.id);
    if (this.#closed || planned === undefined || consumer.closed) {
      consumer.close();
      return undefined;
    }
    const { flowing } = planned;
    const entry: Entry = { track, consumer, ready: false, flowing, layer: undefined };
    this.#entries.set(track.id, entry);
    this.#byConsumer.set(consumer.id, entry);
    consumer.observer.once("close", () => this.#forget(entry));
    this.#events.opened(describe(entry));
    return entry;
  }

  async #applyLayer(entry: Entry): Promise<void> {
    const { consumer, track } = entry;
    if (consumer.type !== "simulcast" && consumer.type !== "svc") return;
    const layer = spatialLayerFor(track.layers, this.#viewOf(track.owner));
    if (entry.layer === layer) return;
    entry.layer = layer;
    await consumer.setPreferredLayers({ spatialLayer: layer });
    // What is seen larger gets the bandwidth first.
    await consumer.setPriority(1 + layer * 10);
  }

  #forget(entry: Entry): void {
    if (this.#entries.get(entry.track.id) !== entry) return;
    this.#entries.delete(entry.track.id);
    this.#byConsumer.delete(entry.consumer.id);
    this.#events.closed(entry.consumer.id);
    // Closed by the gate while it is still planned: the plan that follows settles it.
    if (this.#plan.has(entry.track.id)) this.#dirty.add(entry.track.id);
  }
}

function describe({ consumer, track, flowing }: Entry): NewConsumer {
  return {
    consumerId: consumer.id,
    producerId: track.id,
    participantId: track.owner,
    kind: consumer.kind,
    track: track.variant,
    rtpParameters: consumer.rtpParameters,
    streamId: track.owner,
    paused: !flowing,
  };
}
