import { Device, type types } from "mediasoup-client";
import type { JoinReply, NewConsumer, OwnProducer, Source } from "../protocol.ts";
import type { SignalingClient } from "../signaling/client.ts";
import { ReadyBatch } from "../signaling/ready-batch.ts";
import { type ConsumerListener, Consumers } from "./consumers.ts";
import { cameraEncodings, fittingLayers } from "./encodings.ts";
import { type IceWatch, keepConnected } from "./ice.ts";
import { compareProducers } from "./reconcile.ts";
import { clientCapabilities, serverCapabilities, serverParameters } from "./wire-types.ts";

/** Viewers' delay measurements and the lip sync of late joiners rest on capture times. */
const ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";
/** A picture that is worth looking at from the first second, in kbit/s. */
const START_BITRATE_KBPS = 800;

export interface MediaListener extends ConsumerListener {
  /** A transport is connected (again). */
  connected(): void;
  /** The connection could not be repaired by ICE restarts: join again. */
  lost(): void;
  /** A received track could not be set up; the others are not affected. */
  trackFailed(error: unknown): void;
}

/**
 * The media side of a stay: one transport up, one down, the own producers and the received tracks.
 * It outlives the signalling connection, as long as the server keeps the transports.
 */
export class MediaSession {
  readonly consumers: Consumers;
  readonly #signaling: SignalingClient;
  readonly #listener: MediaListener;
  readonly #device: Device;
  readonly #reply: JoinReply;
  readonly #ready: ReadyBatch;
  readonly #producers = new Map<Source, types.Producer>();
  readonly #watches: IceWatch[] = [];
  readonly #early: NewConsumer[] = [];
  #send: types.Transport | null = null;
  #receive: types.Transport | null = null;
  #closed = false;

  private constructor(
    signaling: SignalingClient,
    device: Device,
    reply: JoinReply,
    listener: MediaListener,
  ) {
    this.#signaling = signaling;
    this.#device = device;
    this.#reply = reply;
    this.#listener = listener;
    this.#ready = new ReadyBatch({
      send: (consumerIds) => signaling.request("consumers:ready", { consumerIds }),
      failed: (error) => listener.trackFailed(error),
    });
    this.consumers = new Consumers(listener, this.#ready);
  }

  /**
   * Loads the browser's capabilities for the room that was joined.
   * Throws UnsupportedError from mediasoup-client in a browser without WebRTC.
   */
  static async create(
    signaling: SignalingClient,
    reply: JoinReply,
    listener: MediaListener,
  ): Promise<MediaSession> {
    const device = await Device.factory({ forcedRtpExtensions: { [ABS_CAPTURE_TIME]: true } });
    await device.load({ routerRtpCapabilities: clientCapabilities(reply.routerRtpCapabilities) });
    return new MediaSession(signaling, device, reply, listener);
  }

  /** Connects what the grants allow; from here on the server announces tracks. */
  async open(): Promise<void> {
    const { grants } = this.#reply;
    if (grants.view) {
      const receive = await this.#createTransport("recv");
      this.#receive = receive;
      await this.#signaling.request("subscribe", {
        transportId: receive.id,
        rtpCapabilities: serverCapabilities(this.#device.recvRtpCapabilities),
      });
      for (const message of this.#early.splice(0)) this.announce(message);
    }
    if (grants.publish) this.#send = await this.#createTransport("send");
  }

  /**
   * The stay was resumed and the server kept these transports: agrees with it on the tracks, and
   * repairs connections that are down. Own tracks that the server lost are published by whoever
   * calls `publish` next.
   */
  async adopt({ consumers, producers }: Pick<JoinReply, "consumers" | "producers">): Promise<void> {
    for (const watch of this.#watches) watch.check();
    const { republish, close, pause } = compareProducers(this.#own(), producers);
    for (const source of republish) {
      this.#producers.get(source)?.close();
      this.#producers.delete(source);
    }
    await Promise.all([
      ...close.map((producerId) => this.#signaling.request("producer:close", { producerId })),
      ...pause.map(({ producerId, paused }) => this.#tellPaused(producerId, paused)),
    ]);
    if (this.#receive === null) return;
    await this.consumers.reconcile(this.#receive, consumers).catch((error: unknown) => {
      if (!this.#closed) this.#listener.trackFailed(error);
    });
  }

  /**
   * Sends a track. An earlier one of the same source is replaced, and the source flows again where
   * it was held: viewers and the engine keep what they have.
   */
  async publish(source: Source, track: MediaStreamTrack): Promise<void> {
    if (this.#send === null) throw new Error("expected open() with the grant to publish first");
    const earlier = this.#producers.get(source);
    if (earlier !== undefined && !earlier.closed) {
      await earlier.replaceTrack({ track });
      if (source === "camera") await fitSender(earlier, track, this.#limitBps);
      await this.setPaused(source, false);
      return;
    }
    const options = source === "camera" ? this.#cameraOptions(track) : MICROPHONE_OPTIONS;
    const producer = await this.#send.produce({
      ...options,
      track,
      // The lobby and the self view use the same track: whoever opened it stops and mutes it.
      stopTracks: false,
      disableTrackOnPause: false,
      appData: { source },
    });
    this.#producers.set(source, producer);
    if (source === "camera") await fitSender(producer, track, this.#limitBps);
  }

  /** Sends nothing of a source for now, without its device; everybody sees that it is off. */
  async hold(source: Source): Promise<void> {
    const producer = this.#producers.get(source);
    if (producer === undefined || producer.closed) return;
    if (producer.paused && producer.track === null) return;
    // First here: from this instant no frame leaves the computer, whatever the server answers.
    producer.pause();
    await producer.replaceTrack({ track: null });
    await this.#tellPaused(producer.id, true);
  }

  /** Holds a source back or lets it flow again, here and for everyone. */
  async setPaused(source: Source, paused: boolean): Promise<void> {
    const producer = this.#producers.get(source);
    if (producer === undefined || producer.closed || producer.paused === paused) return;
    if (paused) producer.pause();
    else producer.resume();
    await this.#tellPaused(producer.id, paused);
  }

  publishes(source: Source): boolean {
    return this.#producers.get(source)?.closed === false;
  }

  /** Statistics of what is sent; null while the source is not published. */
  async senderStats(source: Source): Promise<RTCStatsReport | null> {
    const producer = this.#producers.get(source);
    return producer === undefined || producer.closed ? null : producer.getStats();
  }

  /** A track that the server announced. Announcements may overtake the answer to subscribe. */
  announce(message: NewConsumer): void {
    if (this.#closed) return;
    if (this.#receive === null) {
      this.#early.push(message);
      return;
    }
    this.consumers.add(this.#receive, message).catch((error: unknown) => {
      // Leaving closes transports under tracks that are still being set up: no news.
      if (!this.#closed) this.#listener.trackFailed(error);
    });
  }

  /** Connection states for diagnostics. */
  states(): { send: string; receive: string } {
    return {
      send: this.#send?.connectionState ?? "none",
      receive: this.#receive?.connectionState ?? "none",
    };
  }

  close(): void {
    this.#closed = true;
    for (const watch of this.#watches) watch.stop();
    this.#ready.close();
    this.consumers.clear();
    this.#send?.close();
    this.#receive?.close();
  }

  #own(): OwnProducer[] {
    return [...this.#producers]
      .filter(([, producer]) => !producer.closed)
      .map(([source, { id, paused }]) => ({ source, producerId: id, paused }));
  }

  async #tellPaused(producerId: string, paused: boolean): Promise<void> {
    await this.#signaling.request(paused ? "producer:pause" : "producer:resume", { producerId });
  }

  get #limitBps(): number {
    return this.#reply.limits.maxVideoBitrateBps;
  }

  #cameraOptions(track: MediaStreamTrack) {
    const { codecs = [] } = this.#device.sendRtpCapabilities;
    const codec = codecs.find(
      ({ kind, mimeType }) => kind === "video" && !/\/rtx$/iu.test(mimeType),
    );
    return {
      codecOptions: { videoGoogleStartBitrate: START_BITRATE_KBPS },
      encodings: cameraEncodings(codec?.mimeType ?? "video/VP8", sizeOf(track), this.#limitBps),
    };
  }

  async #createTransport(direction: "send" | "recv"): Promise<types.Transport> {
    const { iceServers } = this.#reply;
    const options = await this.#signaling.request("transport:create", { direction });
    const transport =
      direction === "send"
        ? this.#device.createSendTransport({ ...options, iceServers })
        : this.#device.createRecvTransport({ ...options, iceServers });

    transport.on("connect", ({ dtlsParameters }, done, failed) => {
      this.#signaling
        .request("transport:connect", { transportId: transport.id, dtlsParameters })
        .then(done, failed);
    });
    transport.on("produce", ({ kind, rtpParameters, appData }, done, failed) => {
      const source: Source = appData.source === "microphone" ? "microphone" : "camera";
      this.#signaling
        .request("produce", {
          transportId: transport.id,
          kind,
          rtpParameters: serverParameters(rtpParameters),
          source,
        })
        .then(({ producerId }) => done({ id: producerId }), failed);
    });
    this.#watches.push(
      keepConnected(transport, {
        reachable: () => this.#signaling.connected,
        restart: async () => {
          const message = { transportId: transport.id };
          const reply = await this.#signaling.request("transport:restart-ice", message);
          await transport.restartIce({ iceParameters: reply.iceParameters });
        },
        connected: () => this.#listener.connected(),
        giveUp: () => this.#listener.lost(),
      }),
    );
    return transport;
  }
}

/** A voice that survives lost packets, and costs nothing while nobody speaks. */
const MICROPHONE_OPTIONS = {
  codecOptions: { opusStereo: false, opusFec: true, opusDtx: true },
  encodings: [],
};

/**
 * Sets what only the sender knows: another camera may give larger pictures than the one before, and
 * on a slow line or computer the picture loses size and rate alike, not one for the other.
 */
async function fitSender(
  { rtpSender }: types.Producer,
  track: MediaStreamTrack,
  limitBps: number,
): Promise<void> {
  if (rtpSender === undefined) return;
  const parameters = rtpSender.getParameters();
  const layers = fittingLayers(parameters.encodings.length, sizeOf(track), limitBps);
  for (const [index, encoding] of parameters.encodings.entries()) {
    Object.assign(encoding, layers[index]);
  }
  parameters.degradationPreference = "balanced";
  // Some versions of Firefox refuse the preference: what is set already is good enough.
  await rtpSender.setParameters(parameters).catch(() => undefined);
}

function sizeOf(track: MediaStreamTrack): { width: number; height: number } {
  const { width = 0, height = 0 } = track.getSettings();
  return { width, height };
}
