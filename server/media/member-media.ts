/** One participant's transports, producers and feed in a room's media. */
import type { types as ms } from "mediasoup";
import type { Source, TrackRef } from "../domain/tracks.ts";
import { DriftlessError } from "../errors.ts";
import type { MeshRouter } from "./router-mesh.ts";
import type { TransportDirection } from "./types.ts";
import type { ViewerFeed } from "./viewer-feed.ts";

/** A producer with what the room knows of it. */
export interface SentTrack {
  ref: TrackRef;
  producer: ms.Producer;
}

export class MemberMedia {
  readonly router: MeshRouter;
  feed: ViewerFeed | undefined;
  readonly #transports = new Map<TransportDirection, ms.WebRtcTransport>();
  readonly #sent = new Map<Source, SentTrack>();
  #closed = false;

  constructor(router: MeshRouter) {
    this.router = router;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whether there is anything that a connection coming back could go on with. */
  get alive(): boolean {
    return [...this.#transports.values()].some((transport) => !transport.closed);
  }

  get sent(): SentTrack[] {
    return [...this.#sent.values()];
  }

  sentFrom(source: Source): SentTrack | undefined {
    return this.#sent.get(source);
  }

  /** A second transport of the same direction replaces the first one. */
  addTransport(direction: TransportDirection, transport: ms.WebRtcTransport): void {
    if (this.#closed) {
      transport.close();
      throw new DriftlessError("NOT_JOINED", "You have left the room.");
    }
    this.#transports.get(direction)?.close();
    this.#transports.set(direction, transport);
  }

  /** @throws DriftlessError NOT_FOUND for a transport that is not this participant's. */
  transport(id: string, direction?: TransportDirection): ms.WebRtcTransport {
    for (const [existing, transport] of this.#transports) {
      if (transport.id !== id || transport.closed) continue;
      if (direction === undefined || direction === existing) return transport;
    }
    const kind = direction === undefined ? "transport" : `${direction} transport`;
    throw new DriftlessError("NOT_FOUND", `You have no ${kind} "${id}".`);
  }

  /** @throws DriftlessError ALREADY_PRODUCING: one camera and one microphone at a time. */
  requireFree(source: Source): void {
    if (this.#sent.has(source)) {
      throw new DriftlessError("ALREADY_PRODUCING", `You already send a ${source}.`);
    }
  }

  addTrack(sent: SentTrack): void {
    this.#sent.set(sent.ref.source, sent);
    sent.producer.observer.once("close", () => {
      if (this.#sent.get(sent.ref.source) === sent) this.#sent.delete(sent.ref.source);
    });
  }

  /** @throws DriftlessError NOT_FOUND for a track that is not this participant's. */
  track(producerId: string): SentTrack {
    const sent = this.sent.find(({ ref }) => ref.id === producerId);
    if (sent === undefined) {
      throw new DriftlessError("NOT_FOUND", `You send no track "${producerId}".`);
    }
    return sent;
  }

  /** Ends all media. Safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.feed?.close();
    for (const transport of this.#transports.values()) transport.close();
    this.#transports.clear();
  }
}
