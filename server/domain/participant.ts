/** One participant of a room: who it is, its transports and its tracks. */
import type { types as ms } from "mediasoup";
import { DriftlessError } from "../errors.ts";
import type { MediaRoom } from "../media/media-room.ts";
import type { Source, TrackData } from "../media/track-data.ts";
import type { TransformStatus } from "../transform/types.ts";
import type { Grants } from "./grants.ts";
import type { ActiveSettings } from "./settings.ts";
import type { Subscriber } from "./subscriber.ts";
import type { ParticipantInfo, ParticipantTransform } from "./types.ts";
import { type Publication, shownVideo } from "./view-plan.ts";

export type Direction = "send" | "recv";

export interface NewParticipant {
  id: string;
  identity: string;
  name: string;
  grants: Grants;
  /** Nobody ever receives the original video. Fixed for the stay. */
  hideOriginal: boolean;
  joinedAtMs: number;
}

export class Participant {
  readonly id: string;
  readonly identity: string;
  readonly name: string;
  readonly grants: Grants;
  readonly hideOriginal: boolean;
  readonly joinedAtMs: number;
  /** False while the connection is broken and the place is kept. */
  connected = true;
  subscriber: Subscriber | undefined;
  generated: ms.Producer<TrackData> | undefined;
  generatedActive = false;
  /** What was asked for last; it survives a change of the camera. */
  wantedTransform: ActiveSettings | undefined;
  transformStatus: TransformStatus | undefined;
  readonly #media: MediaRoom;
  readonly #transports = new Map<Direction, ms.WebRtcTransport>();
  readonly #producers = new Map<Source, ms.Producer<TrackData>>();
  #closed = false;

  constructor(options: NewParticipant, media: MediaRoom) {
    this.id = options.id;
    this.identity = options.identity;
    this.name = options.name;
    this.grants = options.grants;
    this.hideOriginal = options.hideOriginal;
    this.joinedAtMs = options.joinedAtMs;
    this.#media = media;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get publication(): Publication {
    return {
      participantId: this.id,
      microphone: this.#producers.get("microphone"),
      camera: this.camera,
      generated: this.generated,
      generatedActive: this.generatedActive,
      hideOriginal: this.hidesOriginal,
    };
  }

  /** Nobody is shown the room of who joined hidden, or of who asked for another background. */
  get hidesOriginal(): boolean {
    return this.hideOriginal || this.wantedTransform?.mode === "background";
  }

  get camera(): ms.Producer<TrackData> | undefined {
    return this.#producers.get("camera");
  }

  /** A second transport of the same direction replaces the first one. */
  async createTransport(direction: Direction): Promise<ms.WebRtcTransport> {
    const transport = await this.#media.createTransport(direction);
    if (this.#closed) {
      transport.close();
      throw new DriftlessError("NOT_JOINED", "You have left the room.");
    }
    this.#transports.get(direction)?.close();
    this.#transports.set(direction, transport);
    return transport;
  }

  /** @throws DriftlessError NOT_FOUND for a transport that is not this participant's. */
  transport(id: string, direction?: Direction): ms.WebRtcTransport {
    for (const [existing, transport] of this.#transports) {
      if (transport.id !== id || transport.closed) continue;
      if (direction === undefined || direction === existing) return transport;
    }
    const kind = direction === undefined ? "transport" : `${direction} transport`;
    throw new DriftlessError("NOT_FOUND", `You have no ${kind} "${id}".`);
  }

  /**
   * Takes a track. One camera and one microphone at a time.
   * @param onClosed called when the track ends, for whatever reason.
   */
  async produce(
    transport: ms.WebRtcTransport,
    source: Source,
    kind: ms.MediaKind,
    rtpParameters: ms.RtpParameters,
    onClosed: () => void,
  ): Promise<ms.Producer<TrackData>> {
    if ((source === "camera") !== (kind === "video")) {
      throw new DriftlessError("INVALID_MESSAGE", `A ${source} cannot send ${kind}.`);
    }
    if (this.#producers.has(source)) {
      throw new DriftlessError("ALREADY_PRODUCING", `You already send a ${source}.`);
    }
    const producer = await this.#media.produce(transport, {
      participantId: this.id,
      source,
      kind,
      rtpParameters,
      hidden: kind === "video" && this.hideOriginal,
    });
    this.#producers.set(source, producer);
    producer.observer.once("close", () => {
      if (this.#producers.get(source) === producer) this.#producers.delete(source);
      onClosed();
    });
    return producer;
  }

  /** @throws DriftlessError NOT_FOUND for a track that is not this participant's. */
  producer(id: string): ms.Producer<TrackData> {
    const producer = [...this.#producers.values()].find((candidate) => candidate.id === id);
    if (producer === undefined) {
      throw new DriftlessError("NOT_FOUND", `You send no track "${id}".`);
    }
    return producer;
  }

  get info(): ParticipantInfo {
    const { state, reason, settings, delayMs } = this.transform;
    const microphone = this.#producers.get("microphone");
    return {
      participantId: this.id,
      identity: this.identity,
      name: this.name,
      joinedAtMs: this.joinedAtMs,
      audio: microphone !== undefined && !microphone.paused,
      video: shownVideo(this.publication),
      transform: state === "off" ? null : { state, reason, settings, delayMs },
      hideOriginal: this.hideOriginal,
    };
  }

  get transform(): ParticipantTransform {
    const status = this.transformStatus;
    return {
      participantId: this.id,
      state: status?.state ?? "off",
      reason: status?.reason ?? "",
      settings: status?.settings ?? null,
      delayMs: status?.delayMs ?? null,
      level: status?.level ?? "full",
      video: shownVideo(this.publication),
      fps: status?.fps ?? 0,
      bitrateBps: status?.bitrateBps ?? 0,
    };
  }

  /** Ends all media. Safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const transport of this.#transports.values()) transport.close();
    this.#transports.clear();
  }
}
