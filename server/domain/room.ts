/** One room: its participants, who sees what, and their transforms. */
import type { types as ms } from "mediasoup";
import { DriftlessError } from "../errors.ts";
import type { MediaRoom } from "../media/media-room.ts";
import type { Source } from "../media/track-data.ts";
import { SafeEmitter } from "../telemetry/events.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { TransformStatus, TransformTarget } from "../transform/types.ts";
import { type NewParticipant, Participant } from "./participant.ts";
import type { TransformSettings } from "./settings.ts";
import { Subscriber } from "./subscriber.ts";
import type { TransformService } from "./transform-service.ts";
import type { NewConsumer, ParticipantTransform, RoomInfo } from "./types.ts";
import { planTracks } from "./view-plan.ts";

export interface RoomEvents {
  participantJoined: [participant: Participant];
  participantLeft: [participant: Participant, reason: string];
  participantUpdated: [participant: Participant];
  consumerOpened: [viewer: Participant, consumer: NewConsumer];
  consumerClosed: [viewer: Participant, consumerId: string];
  consumerPaused: [viewer: Participant, consumerId: string];
  consumerResumed: [viewer: Participant, consumerId: string];
  transformState: [transform: ParticipantTransform];
  transformApplied: [
    applied: { participantId: string; revision: number; captureTimeMs: number; complete: boolean },
  ];
  /** Nobody is left. */
  empty: [];
}

export interface RoomOptions {
  id: string;
  /** True: it stays when it is empty. */
  permanent: boolean;
  createdAtMs: number;
  maxParticipants: number;
  media: MediaRoom;
  transforms: TransformService;
  logger: Logger;
  metrics: Metrics;
}

export class Room extends SafeEmitter<RoomEvents> {
  readonly id: string;
  /** It stays when it is empty. */
  permanent: boolean;
  readonly createdAtMs: number;
  readonly media: MediaRoom;
  readonly #maxParticipants: number;
  readonly #transforms: TransformService;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #participants = new Map<string, Participant>();
  #closed = false;

  constructor(options: RoomOptions) {
    super(options.logger, options.metrics);
    this.id = options.id;
    this.permanent = options.permanent;
    this.createdAtMs = options.createdAtMs;
    this.media = options.media;
    this.#maxParticipants = options.maxParticipants;
    this.#transforms = options.transforms;
    this.#logger = options.logger.child({ roomId: options.id });
    this.#metrics = options.metrics;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get participants(): Participant[] {
    return [...this.#participants.values()];
  }

  get info(): RoomInfo {
    return {
      roomId: this.id,
      createdAtMs: this.createdAtMs,
      participants: this.#participants.size,
    };
  }

  /** @throws DriftlessError PARTICIPANT_NOT_FOUND. */
  participant(id: string): Participant {
    const participant = this.#participants.get(id);
    if (participant === undefined) {
      throw new DriftlessError(
        "PARTICIPANT_NOT_FOUND",
        `There is no participant "${id}" in room "${this.id}".`,
      );
    }
    return participant;
  }

  /**
   * Adds a participant. One whose connection broke gives way to the same
   * identity coming back; one who is connected does not.
   * @throws DriftlessError IDENTITY_IN_USE, ROOM_FULL, ROOM_REBUILT.
   */
  join(options: NewParticipant): Participant {
    if (this.#closed) throw new DriftlessError("ROOM_REBUILT", "The room has just ended.");
    const same = this.participants.find(({ identity }) => identity === options.identity);
    if (same?.connected) {
      throw new DriftlessError(
        "IDENTITY_IN_USE",
        `Somebody with the identity "${options.identity}" is in the room already.`,
      );
    }
    if (same !== undefined) this.leave(same.id, "came back on another connection");
    if (this.#participants.size >= this.#maxParticipants) {
      throw new DriftlessError("ROOM_FULL", `The room is full (${this.#maxParticipants} people).`);
    }
    const participant = new Participant(options, this.media);
    this.#participants.set(participant.id, participant);
    this.#metrics.participants.inc();
    this.#logger.info({ participantId: participant.id }, "participant joined");
    this.emit("participantJoined", participant);
    return participant;
  }

  /** Ends a participant's stay; unknown ids are ignored (left in the meantime). */
  leave(id: string, reason: string): void {
    const participant = this.#participants.get(id);
    if (participant === undefined) return;
    this.#participants.delete(id);
    this.#metrics.participants.dec();
    this.#stopTransform(id);
    participant.close();
    this.#logger.info({ participantId: id, reason }, "participant left");
    // The end of the whole room is announced by who ended it.
    if (this.#closed) return;
    this.emit("participantLeft", participant, reason);
    this.#sync();
    if (this.#participants.size === 0) this.emit("empty");
  }

  async publish(
    participant: Participant,
    transportId: string,
    source: Source,
    kind: ms.MediaKind,
    rtpParameters: ms.RtpParameters,
  ): Promise<string> {
    const transport = participant.transport(transportId, "send");
    const producer = await participant.produce(transport, source, kind, rtpParameters, () =>
      this.#changed(participant),
    );
    this.#changed(participant);
    if (source === "camera") this.#resumeTransform(participant);
    return producer.id;
  }

  async setPaused(participant: Participant, producerId: string, paused: boolean): Promise<void> {
    const producer = participant.producer(producerId);
    if (paused) await producer.pause();
    else await producer.resume();
    this.#changed(participant);
  }

  /** From now on the viewer has the tracks of the plan; replaces an earlier subscription. */
  subscribe(viewer: Participant, transportId: string, rtpCapabilities: ms.RtpCapabilities): void {
    viewer.subscriber?.close();
    viewer.subscriber = new Subscriber({
      media: this.media,
      transport: viewer.transport(transportId, "recv"),
      rtpCapabilities,
      logger: this.#logger,
      events: {
        opened: (consumer) => this.emit("consumerOpened", viewer, consumer),
        closed: (consumerId) => this.emit("consumerClosed", viewer, consumerId),
        paused: (consumerId) => this.emit("consumerPaused", viewer, consumerId),
        resumed: (consumerId) => this.emit("consumerResumed", viewer, consumerId),
      },
    });
    this.#sync();
  }

  /**
   * Starts, changes or stops a participant's transform. A background may be asked for before there
   * is a camera (revision 0): it then begins with the camera.
   * @throws DriftlessError NO_VIDEO when there is no camera to restyle.
   */
  async setTransform(
    participant: Participant,
    settings: TransformSettings,
  ): Promise<{ revision: number }> {
    if (settings.mode === "off") {
      participant.wantedTransform = undefined;
      await this.#transforms.stop(participant.id);
      this.#changed(participant);
      return { revision: 0 };
    }
    if (settings.mode === "background") {
      // Before the engine answers, and even if it refuses: the room is hidden from now on.
      participant.wantedTransform = settings;
      this.#changed(participant);
    }
    const camera = participant.camera;
    if (camera === undefined) {
      // It waits for the camera, whose first frame is then hidden already.
      if (settings.mode === "background") return { revision: 0 };
      throw new DriftlessError("NO_VIDEO", "There is no camera to repaint. Turn it on first.");
    }
    const result = await this.#transforms.set(this.#targetOf(participant, camera.id), settings);
    participant.wantedTransform = settings;
    this.#changed(participant);
    // Who left while the engine got ready must not leave a session behind.
    if (participant.closed) this.#stopTransform(participant.id);
    return result;
  }

  /** Something of the transform changed; `changed` is false for mere statistics. */
  onTransformStatus(status: TransformStatus, changed: boolean): void {
    const participant = this.#participants.get(status.targetId);
    if (participant === undefined) return;
    const over = status.state === "stopped" && participant.wantedTransform === undefined;
    participant.transformStatus = over ? undefined : status;
    this.emit("transformState", { ...participant.transform, reason: status.reason });
    if (changed) this.emit("participantUpdated", participant);
  }

  /** The generated track is (no longer) what viewers should watch. */
  setGeneratedActive(participantId: string, active: boolean): void {
    const participant = this.#participants.get(participantId);
    if (participant === undefined || participant.generatedActive === active) return;
    participant.generatedActive = active;
    this.#changed(participant);
    this.emit("transformState", participant.transform);
  }

  /** Ends the room and everybody's stay in it. Safe to call twice. */
  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { id } of this.participants) this.leave(id, reason);
    this.media.close();
  }

  #targetOf(participant: Participant, videoProducerId: string): TransformTarget {
    return {
      id: participant.id,
      roomId: this.id,
      videoProducerId,
      allowOriginalFallback: !participant.hidesOriginal,
      createTap: async ({ videoProducerId: originalProducerId, engineIp, outputSsrc }) => {
        const camera = participant.producer(originalProducerId);
        const { tap, generated } = await this.media.createTap(camera, {
          originalProducerId,
          engineIp,
          outputSsrc,
        });
        this.#addGenerated(participant, generated);
        return tap;
      },
    };
  }

  /** Viewers set the generated track up before its first frame, so that switching is instant. */
  #addGenerated(participant: Participant, generated: NonNullable<Participant["generated"]>): void {
    participant.generated = generated;
    generated.observer.once("close", () => {
      if (participant.generated !== generated) return;
      participant.generated = undefined;
      participant.generatedActive = false;
      this.#changed(participant);
    });
    this.#changed(participant);
  }

  #changed(participant: Participant): void {
    if (participant.closed || this.#closed) return;
    this.#sync();
    this.emit("participantUpdated", participant);
  }

  #sync(): void {
    if (this.#closed) return;
    const publications = this.participants.map((participant) => participant.publication);
    for (const viewer of this.participants) {
      viewer.subscriber?.update(publications.flatMap((tracks) => planTracks(tracks, viewer.id)));
    }
  }

  /** A new camera is repainted as the one before it. */
  #resumeTransform(participant: Participant): void {
    const { wantedTransform } = participant;
    if (wantedTransform === undefined) return;
    this.setTransform(participant, wantedTransform).catch((err: unknown) =>
      this.#logger.warn({ err, participantId: participant.id }, "a transform did not resume"),
    );
  }

  #stopTransform(participantId: string): void {
    Promise.resolve(this.#transforms.stop(participantId)).catch((err: unknown) =>
      this.#logger.warn({ err, participantId }, "a transform did not stop cleanly"),
    );
  }
}
