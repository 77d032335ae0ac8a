/**
 * The media of one room: follows what the room decides, and is the only way to put tracks into it
 * and to get them out.
 */
import type { types as ms } from "mediasoup";
import type { SfuConfig } from "../config/schema.ts";
import type { Participant } from "../domain/participant.ts";
import type { Room } from "../domain/room.ts";
import type { Source, TrackRef } from "../domain/tracks.ts";
import { DriftlessError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { clientCapabilities } from "./codecs.ts";
import { EgressGate } from "./egress-gate.ts";
import { MemberMedia } from "./member-media.ts";
import { PlainTransformTap } from "./plain-transform-tap.ts";
import { produceTrack } from "./produce.ts";
import type { RouterMesh } from "./router-mesh.ts";
import type { TransformTap, TransformTapOptions } from "./transform-tap.ts";
import type { NewConsumer, TransportDirection } from "./types.ts";
import { type FeedEvents, type OpenConsumer, ViewerFeed } from "./viewer-feed.ts";

export interface RoomMediaDeps {
  config: SfuConfig;
  metrics: Metrics;
  logger: Logger;
  /** Ports that the links to the engine may use. */
  plainPortRange: { min: number; max: number };
  /** What viewers are told. */
  events(viewerId: string): FeedEvents;
}

/** What a connection that came back finds. */
export interface KeptMedia {
  producers: { source: Source; producerId: string; paused: boolean }[];
  consumers: NewConsumer[];
}

/** mediasoup's end of the link: the engine runs on this machine. */
const ENGINE_LINK_IP = "127.0.0.1";
/** The engine's own limit on key frame requests of many viewers at once. */
const GENERATED_KEY_FRAME_DELAY_MS = 300;

export class RoomMedia {
  readonly mesh: RouterMesh;
  readonly #room: Room;
  readonly #deps: RoomMediaDeps;
  readonly #gate: EgressGate;
  readonly #members = new Map<string, MemberMedia>();
  readonly #subscribers = new Set<string>();
  #closed = false;

  constructor(room: Room, mesh: RouterMesh, deps: RoomMediaDeps) {
    this.#room = room;
    this.mesh = mesh;
    this.#deps = deps;
    this.#gate = new EgressGate(room);
    room.on("planChanged", this.#onPlanChanged);
    room.on("left", this.#onLeft);
  }

  get rtpCapabilities(): ms.RtpCapabilities {
    return clientCapabilities(this.mesh.home.router.rtpCapabilities as ms.RtpCapabilities);
  }

  get closed(): boolean {
    return this.#closed || this.mesh.closed;
  }

  /** A browser's transport; all of them share the worker's port. */
  async createTransport(
    participant: Participant,
    direction: TransportDirection,
  ): Promise<ms.WebRtcTransport> {
    const member = await this.#member(participant);
    const { config } = this.#deps;
    const transport = await member.router.router.createWebRtcTransport({
      webRtcServer: member.router.slot.webRtcServer,
      enableUdp: true,
      enableTcp: true,
      preferUdp: true,
      initialAvailableOutgoingBitrate: config.initialOutgoingBitrateBps,
    });
    if (direction === "send") {
      await transport.setMaxIncomingBitrate(config.maxIncomingBitrateBps);
    }
    member.addTransport(direction, transport);
    return transport;
  }

  /** @throws DriftlessError NOT_FOUND for a transport that is not this participant's. */
  transport(participant: Participant, transportId: string): ms.WebRtcTransport {
    return this.#requireMember(participant, "transport", transportId).transport(transportId);
  }

  /**
   * Receives a participant's track.
   * @throws DriftlessError UNSUPPORTED_CODEC, INVALID_MESSAGE, ALREADY_PRODUCING, NOT_FOUND.
   */
  async publish(
    participant: Participant,
    transportId: string,
    source: Source,
    kind: ms.MediaKind,
    rtpParameters: ms.RtpParameters,
  ): Promise<TrackRef> {
    const member = this.#requireMember(participant, "send transport", transportId);
    const transport = member.transport(transportId, "send");
    if ((source === "camera") !== (kind === "video")) {
      throw new DriftlessError("INVALID_MESSAGE", `A ${source} cannot send ${kind}.`);
    }
    member.requireFree(source);
    const producer = await produceTrack(transport, participant.id, source, kind, rtpParameters);
    const ref: TrackRef = {
      id: producer.id,
      owner: participant.id,
      source,
      variant: "original",
      kind,
      layers: spatialLayers(producer),
      routerId: member.router.id,
    };
    this.#count(this.#deps.metrics.producers, producer, ref);
    member.addTrack({ ref, producer });
    producer.observer.once("close", () => this.#room.unpublish(participant, ref));
    this.#room.publish(participant, ref);
    return ref;
  }

  /** @throws DriftlessError NOT_FOUND. */
  unpublish(participant: Participant, producerId: string): void {
    this.#requireMember(participant, "track", producerId).track(producerId).producer.close();
  }

  /** @throws DriftlessError NOT_FOUND. */
  async setPaused(participant: Participant, producerId: string, paused: boolean): Promise<void> {
    const { producer, ref } = this.#requireMember(participant, "track", producerId).track(
      producerId,
    );
    // Told to the viewers first: a camera that is switched off is off from now on.
    this.#room.setPaused(participant, ref.source, paused);
    if (paused) await producer.pause();
    else await producer.resume();
  }

  /** From now on the viewer has the tracks of the plan; replaces an earlier subscription. */
  subscribe(viewer: Participant, transportId: string, rtpCapabilities: ms.RtpCapabilities): void {
    const member = this.#requireMember(viewer, "recv transport", transportId);
    const transport = member.transport(transportId, "recv");
    member.feed?.close();
    member.feed = new ViewerFeed({
      transport,
      openConsumer: this.#opener(member, transport, rtpCapabilities),
      viewOf: (participantId) => viewer.viewOf(participantId),
      events: this.#deps.events(viewer.id),
      logger: this.#deps.logger,
    });
    this.#subscribers.add(viewer.id);
    for (const publisher of this.#room.participants) {
      member.feed.update(publisher.id, this.#room.plan(publisher, viewer));
    }
  }

  /** The viewer has set these consumers up. @throws DriftlessError NOT_FOUND. */
  ready(viewer: Participant, consumerId: string): void {
    const feed = this.#members.get(viewer.id)?.feed;
    if (feed === undefined) throw new DriftlessError("NOT_FOUND", "Subscribe first.");
    feed.requireReady(consumerId);
  }

  /** As ready() for several; ids that are gone meanwhile are ignored. */
  allReady(viewer: Participant, consumerIds: readonly string[]): void {
    for (const id of consumerIds) this.#members.get(viewer.id)?.feed?.ready(id);
  }

  /** What lives on of a participant's media; undefined: nothing does. */
  kept(participant: Participant): KeptMedia | undefined {
    const member = this.#members.get(participant.id);
    if (member === undefined || !member.alive || this.closed) return undefined;
    return {
      producers: member.sent.map(({ ref, producer }) => ({
        source: ref.source,
        producerId: ref.id,
        paused: producer.paused,
      })),
      consumers: member.feed?.consumers ?? [],
    };
  }

  /**
   * The engine's way to the participant's camera and back. The generated track is one like others:
   * it passes the same gate.
   * @throws DriftlessError NO_VIDEO when the camera has ended meanwhile
   */
  async createTap(participant: Participant, options: TransformTapOptions): Promise<TransformTap> {
    const member = this.#members.get(participant.id);
    const camera = member?.sentFrom("camera");
    if (member === undefined || camera?.ref.id !== options.originalProducerId) {
      throw new DriftlessError("NO_VIDEO", "The camera stopped before its transform had started.");
    }
    const { tap, generated } = await PlainTransformTap.create({
      router: member.router.router,
      original: camera.producer,
      outputSsrc: options.outputSsrc,
      lowSsrc: options.lowSsrc,
      portRange: this.#deps.plainPortRange,
      listenIp: ENGINE_LINK_IP,
      keyFrameRequestDelayMs: GENERATED_KEY_FRAME_DELAY_MS,
      msid: `${participant.id} generated`,
    });
    const ref: TrackRef = {
      id: generated.id,
      owner: participant.id,
      source: "camera",
      variant: "generated",
      kind: "video",
      layers: spatialLayers(generated),
      routerId: member.router.id,
    };
    this.#count(this.#deps.metrics.producers, generated, ref);
    generated.observer.once("close", () => this.#room.removeGenerated(participant, ref));
    this.#room.addGenerated(participant, ref);
    return tap;
  }

  /** Ends all media of the room. Safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#room.off("planChanged", this.#onPlanChanged);
    this.#room.off("left", this.#onLeft);
    for (const member of this.#members.values()) member.close();
    this.#members.clear();
    this.mesh.close();
    this.#gate.close();
  }

  readonly #onPlanChanged = (publisher: Participant, viewer?: Participant): void => {
    if (viewer !== undefined) {
      this.#members.get(viewer.id)?.feed?.update(publisher.id, this.#room.plan(publisher, viewer));
      return;
    }
    for (const viewerId of this.#subscribers) {
      const each = this.#room.find(viewerId);
      const feed = this.#members.get(viewerId)?.feed;
      if (each !== undefined) feed?.update(publisher.id, this.#room.plan(publisher, each));
    }
  };

  readonly #onLeft = ({ id }: Participant): void => {
    this.#subscribers.delete(id);
    for (const viewerId of this.#subscribers) this.#members.get(viewerId)?.feed?.update(id, []);
    this.#members.get(id)?.close();
    this.#members.delete(id);
    this.mesh.release(id);
  };

  async #member(participant: Participant): Promise<MemberMedia> {
    const router = await this.mesh.routerFor(participant.id);
    if (this.#closed || participant.left) {
      throw new DriftlessError("NOT_JOINED", "You have left the room.");
    }
    let member = this.#members.get(participant.id);
    if (member === undefined) {
      member = new MemberMedia(router);
      this.#members.set(participant.id, member);
    }
    return member;
  }

  #requireMember({ id }: Participant, what: string, wantedId: string): MemberMedia {
    const member = this.#members.get(id);
    if (member === undefined) {
      throw new DriftlessError("NOT_FOUND", `You have no ${what} "${wantedId}".`);
    }
    return member;
  }

  #opener(
    member: MemberMedia,
    transport: ms.WebRtcTransport,
    rtpCapabilities: ms.RtpCapabilities,
  ): OpenConsumer {
    const { router, slot, id } = member.router;
    return async (track) => {
      let unplayable = false;
      const consumer = await this.#gate.open(track, async () => {
        await this.mesh.bring(track.id, track.routerId, { router, slot, id });
        if (!router.canConsume({ producerId: track.id, rtpCapabilities })) {
          unplayable = true;
          return undefined;
        }
        return transport.consume({ producerId: track.id, rtpCapabilities, paused: true });
      });
      if (unplayable) return "unplayable";
      if (consumer === undefined) return "forbidden";
      slot.consumers++;
      this.#count(this.#deps.metrics.consumers, consumer, track);
      consumer.observer.once("close", () => {
        slot.consumers--;
        this.#gate.forget(track, consumer);
      });
      return consumer;
    };
  }

  #count(
    gauge: Metrics["producers"] | Metrics["consumers"],
    entity: ms.Producer | ms.Consumer,
    track: TrackRef,
  ): void {
    const labels = { kind: track.kind, track: track.variant };
    gauge.inc(labels);
    const observer: ms.ProducerObserver | ms.ConsumerObserver = entity.observer;
    (observer as ms.ProducerObserver).once("close", () => gauge.dec(labels));
  }
}

/** Simulcast has an encoding for each layer, SVC one encoding with a mode such as L3T3. */
function spatialLayers({ type, rtpParameters: { encodings = [] } }: ms.Producer): number {
  if (type === "simulcast") return encodings.length;
  if (type !== "svc") return 1;
  return Number(/^[LS](\d)/u.exec(encodings[0]?.scalabilityMode ?? "")?.[1] ?? 1);
}
