/**
 * The media of one room: a router and the only ways to put tracks into it and to
 * get them out. Hidden originals are refused here, whoever asks.
 */
import type { types as ms } from "mediasoup";
import type { SfuConfig } from "../config/schema.ts";
import { DriftlessError, toError } from "../errors.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { clientCapabilities, ROUTER_CODECS, videoCodecOf } from "./codecs.ts";
import { PlainTransformTap } from "./plain-transform-tap.ts";
import type { Source, TrackData, TrackRole } from "./track-data.ts";
import type { TransformTap, TransformTapOptions } from "./transform-tap.ts";
import type { WorkerPool, WorkerSlot } from "./worker-pool.ts";

export interface ProduceOptions {
  participantId: string;
  source: Source;
  kind: ms.MediaKind;
  rtpParameters: ms.RtpParameters;
  hidden: boolean;
}

/** The engine's own limit on key frame requests of many viewers at once. */
const GENERATED_KEY_FRAME_DELAY_MS = 300;

export class MediaRoom {
  readonly slot: WorkerSlot;
  readonly #router: ms.Router;
  readonly #config: SfuConfig;
  readonly #metrics: Metrics;
  readonly #plainPortRange: { min: number; max: number };

  private constructor(pool: WorkerPool, slot: WorkerSlot, router: ms.Router, deps: MediaRoomDeps) {
    this.slot = slot;
    this.#router = router;
    this.#config = deps.config;
    this.#metrics = deps.metrics;
    this.#plainPortRange = pool.plainPortRange;
    slot.routers++;
    router.observer.once("close", () => slot.routers--);
  }

  static async create(pool: WorkerPool, deps: MediaRoomDeps): Promise<MediaRoom> {
    for (;;) {
      const slot = await pool.acquire();
      try {
        const router = await slot.worker.createRouter({ mediaCodecs: ROUTER_CODECS });
        return new MediaRoom(pool, slot, router, deps);
      } catch (error) {
        // A worker that died just now: its replacement, or another one, does it.
        if (!slot.worker.closed) throw error;
      }
    }
  }

  get rtpCapabilities(): ms.RtpCapabilities {
    return clientCapabilities(this.#router.rtpCapabilities as ms.RtpCapabilities);
  }

  get closed(): boolean {
    return this.#router.closed;
  }

  /** A browser's transport; all of them share the worker's port. */
  async createTransport(direction: "send" | "recv"): Promise<ms.WebRtcTransport> {
    const transport = await this.#router.createWebRtcTransport({
      webRtcServer: this.slot.webRtcServer,
      enableUdp: true,
      enableTcp: true,
      preferUdp: true,
      initialAvailableOutgoingBitrate: this.#config.initialOutgoingBitrateBps,
    });
    if (direction === "send") {
      await transport.setMaxIncomingBitrate(this.#config.maxIncomingBitrateBps);
    }
    return transport;
  }

  /**
   * Receives a participant's track.
   * @throws DriftlessError UNSUPPORTED_CODEC, INVALID_MESSAGE.
   */
  async produce(
    transport: ms.WebRtcTransport,
    options: ProduceOptions,
  ): Promise<ms.Producer<TrackData>> {
    const { participantId, source, kind, hidden } = options;
    const first = options.rtpParameters.codecs[0]?.mimeType ?? "none";
    if (kind === "video" && videoCodecOf(first) === undefined) {
      throw unsupported(`video/VP8 or video/H264, got ${first}`);
    }
    // One stream id for all tracks of a participant: browsers sync lips by it.
    const rtpParameters = { ...options.rtpParameters, msid: `${participantId} ${source}` };
    try {
      const producer = await transport.produce<TrackData>({
        kind,
        rtpParameters,
        appData: { participantId, track: "original", hidden },
      });
      this.#count(this.#metrics.producers, producer, producer.appData.track);
      return producer;
    } catch (error) {
      if (transport.closed) throw error;
      throw rejectedParameters(error);
    }
  }

  /**
   * Sends a track to a viewer, paused at first.
   * @returns undefined when the viewer's device cannot play the codec.
   * @throws DriftlessError FORBIDDEN for a hidden original.
   */
  async consume(
    transport: ms.WebRtcTransport,
    producer: ms.Producer<TrackData>,
    rtpCapabilities: ms.RtpCapabilities,
  ): Promise<ms.Consumer<TrackData> | undefined> {
    if (producer.appData.hidden) {
      throw new DriftlessError("FORBIDDEN", "This participant does not show the original video.");
    }
    if (!this.#router.canConsume({ producerId: producer.id, rtpCapabilities })) return undefined;
    const consumer = await transport.consume<TrackData>({
      producerId: producer.id,
      rtpCapabilities,
      paused: true,
      appData: producer.appData,
    });
    this.#count(this.#metrics.consumers, consumer, producer.appData.track);
    return consumer;
  }

  /** The engine's way to a camera and back; the generated track is a producer like others. */
  async createTap(
    original: ms.Producer<TrackData>,
    options: Omit<TransformTapOptions, "outputCodec">,
  ): Promise<{ tap: TransformTap; generated: ms.Producer<TrackData> }> {
    const { participantId } = original.appData;
    const created = await PlainTransformTap.create({
      router: this.#router,
      original,
      outputSsrc: options.outputSsrc,
      portRange: this.#plainPortRange,
      listenIp: "127.0.0.1",
      engineIp: options.engineIp,
      keyFrameRequestDelayMs: GENERATED_KEY_FRAME_DELAY_MS,
      msid: `${participantId} generated`,
      appData: { ...options.appData, participantId, track: "generated", hidden: false },
    });
    this.#count(this.#metrics.producers, created.generated, "generated");
    return created;
  }

  close(): void {
    this.#router.close();
  }

  #count(
    gauge: Metrics["producers"] | Metrics["consumers"],
    entity: ms.Producer<TrackData> | ms.Consumer<TrackData>,
    track: TrackRole,
  ): void {
    const labels = { kind: entity.kind, track };
    gauge.inc(labels);
    const observer: ms.ProducerObserver | ms.ConsumerObserver = entity.observer;
    (observer as ms.ProducerObserver).once("close", () => gauge.dec(labels));
  }
}

export interface MediaRoomDeps {
  config: SfuConfig;
  metrics: Metrics;
}

function unsupported(expected: string): DriftlessError {
  return new DriftlessError("UNSUPPORTED_CODEC", `Expected ${expected}.`);
}

/** mediasoup explains what is wrong with the parameters; a codec is the usual reason. */
function rejectedParameters(error: unknown): DriftlessError {
  const message = toError(error).message;
  const code = /codec/i.test(message) ? "UNSUPPORTED_CODEC" : "INVALID_MESSAGE";
  return new DriftlessError(code, `The track was refused: ${message}.`, { cause: error });
}
