/**
 * The consumers of one viewer. The room hands over the newest plan, the
 * subscriber makes the consumers agree with it, one step at a time.
 */
import type { types as ms } from "mediasoup";
import { DriftlessError } from "../errors.ts";
import type { MediaRoom } from "../media/media-room.ts";
import type { TrackData } from "../media/track-data.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { NewConsumer } from "./types.ts";
import type { PlannedTrack } from "./view-plan.ts";

export interface SubscriberEvents {
  opened(consumer: NewConsumer): void;
  closed(consumerId: string): void;
  paused(consumerId: string): void;
  resumed(consumerId: string): void;
}

interface Entry {
  consumer: ms.Consumer<TrackData>;
  /** The viewer has set the track up; nothing may flow before. */
  ready: boolean;
  flowing: boolean;
}

export class Subscriber {
  readonly transport: ms.WebRtcTransport;
  readonly #media: MediaRoom;
  readonly #rtpCapabilities: ms.RtpCapabilities;
  readonly #events: SubscriberEvents;
  readonly #logger: Logger;
  /** By producer id. */
  readonly #entries = new Map<string, Entry>();
  /** Producers whose codec this viewer cannot play. */
  readonly #unplayable = new Set<string>();
  #plan: PlannedTrack[] = [];
  #dirty = false;
  #busy = false;
  #closed = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: {
    media: MediaRoom;
    transport: ms.WebRtcTransport;
    rtpCapabilities: ms.RtpCapabilities;
    events: SubscriberEvents;
    logger: Logger;
  }) {
    this.#media = options.media;
    this.transport = options.transport;
    this.#rtpCapabilities = options.rtpCapabilities;
    this.#events = options.events;
    this.#logger = options.logger;
  }

  /** Takes the newest plan; the work happens in the background, never twice at once. */
  update(plan: PlannedTrack[]): void {
    this.#plan = plan;
    this.#dirty = true;
    // A flag of its own: the promise is still unsettled when the last round has looked at #dirty.
    if (this.#busy) return;
    this.#busy = true;
    this.#running = this.#reconcile();
  }

  /** Resolves when the consumers agree with the last plan. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /** @throws DriftlessError NOT_FOUND for a consumer that is not this viewer's. */
  async ready(consumerId: string): Promise<void> {
    const entry = [...this.#entries.values()].find(({ consumer }) => consumer.id === consumerId);
    if (entry === undefined) {
      throw new DriftlessError("NOT_FOUND", `You have no consumer "${consumerId}".`);
    }
    entry.ready = true;
    await this.#applyFlow(entry);
  }

  /** Closes the consumers; their transport stays. */
  close(): void {
    this.#closed = true;
    for (const [producerId, { consumer }] of this.#entries) {
      consumer.close();
      this.#forget(producerId, consumer.id);
    }
  }

  async #reconcile(): Promise<void> {
    try {
      while (this.#dirty && !this.#closed && !this.transport.closed) {
        this.#dirty = false;
        await this.#reconcileOnce(this.#plan);
      }
    } finally {
      this.#busy = false;
    }
  }

  async #reconcileOnce(plan: PlannedTrack[]): Promise<void> {
    const planned = new Set(plan.map((track) => track.producer.id));
    for (const [producerId, { consumer }] of this.#entries) {
      if (!planned.has(producerId)) {
        consumer.close();
        this.#forget(producerId, consumer.id);
      }
    }
    // Tracks that begin to flow come first: their key frame takes longest.
    const ordered = [...plan].sort((a, b) => Number(b.flowing) - Number(a.flowing));
    for (const track of ordered) {
      try {
        await this.#apply(track);
      } catch (err) {
        // The track or the transport may have closed while we worked on it; that shows in the next plan.
        if (!track.producer.closed && !this.transport.closed) {
          this.#logger.warn({ err, producerId: track.producer.id }, "a track cannot be consumed");
        }
      }
    }
  }

  async #apply(track: PlannedTrack): Promise<void> {
    const entry = this.#entries.get(track.producer.id);
    if (entry === undefined) {
      await this.#open(track);
      return;
    }
    if (entry.flowing === track.flowing) return;
    entry.flowing = track.flowing;
    await this.#applyFlow(entry);
    if (track.flowing) this.#events.resumed(entry.consumer.id);
    else this.#events.paused(entry.consumer.id);
  }

  async #open(track: PlannedTrack): Promise<void> {
    const { producer, flowing } = track;
    if (this.#closed || producer.closed || this.#unplayable.has(producer.id)) return;
    const consumer = await this.#media.consume(this.transport, producer, this.#rtpCapabilities);
    if (consumer === undefined) {
      this.#unplayable.add(producer.id);
      this.#logger.warn({ producerId: producer.id }, "a viewer cannot play this codec");
      return;
    }
    if (this.#closed) {
      consumer.close();
      return;
    }
    this.#entries.set(producer.id, { consumer, ready: false, flowing });
    consumer.on("producerclose", () => this.#forget(producer.id, consumer.id));
    consumer.on("transportclose", () => this.#forget(producer.id, consumer.id));
    this.#events.opened({
      consumerId: consumer.id,
      producerId: producer.id,
      participantId: track.participantId,
      kind: consumer.kind,
      track: track.track,
      rtpParameters: consumer.rtpParameters,
      streamId: track.participantId,
      paused: !flowing,
    });
  }

  async #applyFlow(entry: Entry): Promise<void> {
    const { consumer } = entry;
    const flow = entry.ready && entry.flowing;
    // Resuming a video consumer also asks its sender for a key frame.
    if (flow && consumer.paused) await consumer.resume();
    else if (!flow && !consumer.paused) await consumer.pause();
  }

  #forget(producerId: string, consumerId: string): void {
    if (this.#entries.delete(producerId)) this.#events.closed(consumerId);
  }
}
