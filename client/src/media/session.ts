import { Device, type types } from "mediasoup-client";
import type { JoinReply, NewConsumer } from "../protocol.ts";
import type { SignalingClient } from "../signaling/client.ts";
import { type ConsumerListener, Consumers } from "./consumers.ts";
import { keepConnected } from "./ice.ts";
import { clientCapabilities, serverCapabilities, serverParameters } from "./wire-types.ts";

/** Viewers' delay measurements and the lip sync of late joiners rest on capture times. */
const ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

export type Source = "camera" | "microphone";

export interface MediaListener extends ConsumerListener {
  /** A transport is connected (again). */
  connected(): void;
  /** The connection could not be repaired by ICE restarts: join again. */
  lost(): void;
  /** A received track could not be set up; the others are not affected. */
  trackFailed(error: unknown): void;
}

/**
 * The media side of one stay in a room: one transport up, one down, the own producers and the
 * received tracks. It never outlives its join: after `close` a new one is made.
 */
export class MediaSession {
  readonly consumers: Consumers;
  readonly #signaling: SignalingClient;
  readonly #listener: MediaListener;
  readonly #device: Device;
  readonly #producers = new Map<Source, types.Producer>();
  readonly #stopWatching: (() => void)[] = [];
  readonly #early: NewConsumer[] = [];
  #send: types.Transport | null = null;
  #receive: types.Transport | null = null;
  #closed = false;

  private constructor(signaling: SignalingClient, device: Device, listener: MediaListener) {
    this.#signaling = signaling;
    this.#device = device;
    this.#listener = listener;
    this.consumers = new Consumers(listener);
  }

  /**
   * Loads the browser's capabilities for the room.
   * Throws UnsupportedError from mediasoup-client in a browser without WebRTC.
   */
  static async create(
    signaling: SignalingClient,
    reply: JoinReply,
    listener: MediaListener,
  ): Promise<MediaSession> {
    const device = await Device.factory({ forcedRtpExtensions: { [ABS_CAPTURE_TIME]: true } });
    await device.load({ routerRtpCapabilities: clientCapabilities(reply.routerRtpCapabilities) });
    return new MediaSession(signaling, device, listener);
  }

  /** Connects the downward transport; from here on the server announces tracks. */
  async subscribe(iceServers: JoinReply["iceServers"]): Promise<void> {
    this.#receive = await this.#createTransport("recv", iceServers);
    await this.#signaling.request("subscribe", {
      transportId: this.#receive.id,
      rtpCapabilities: serverCapabilities(this.#device.recvRtpCapabilities),
    });
    for (const message of this.#early.splice(0)) this.announce(message);
  }

  /** Connects the upward transport. */
  async openUplink(iceServers: JoinReply["iceServers"]): Promise<void> {
    this.#send = await this.#createTransport("send", iceServers);
  }

  /** Sends a track, in place of an earlier one of the same source. */
  async publish(source: Source, track: MediaStreamTrack): Promise<void> {
    if (this.#send === null) throw new Error("expected openUplink before publish");
    const earlier = this.#producers.get(source);
    if (earlier !== undefined && !earlier.closed) {
      await earlier.replaceTrack({ track });
      return;
    }
    const producer = await this.#send.produce({
      track,
      // The lobby and the self view use the same track: it is stopped by whoever opened it.
      stopTracks: false,
      codecOptions: source === "camera" ? { videoGoogleStartBitrate: 800 } : {},
      encodings: source === "camera" ? [{ maxBitrate: 1_200_000, maxFramerate: 30 }] : [],
      appData: { source },
    });
    this.#producers.set(source, producer);
  }

  /** Ends a source: viewers see that there is none. The server keeps the wanted look for the next. */
  async unpublish(source: Source): Promise<void> {
    const producer = this.#producers.get(source);
    if (producer === undefined || producer.closed) return;
    producer.close();
    await this.#signaling.request("producer:close", { producerId: producer.id });
  }

  /** Holds a source back or lets it flow again, here and for everyone. */
  async setPaused(source: Source, paused: boolean): Promise<void> {
    const producer = this.#producers.get(source);
    // Told to the server even where nothing changes here: a track that was muted in the lobby
    // makes a producer that is paused on this side only.
    if (producer === undefined || producer.closed) return;
    if (paused) producer.pause();
    else producer.resume();
    const message = { producerId: producer.id };
    await this.#signaling.request(paused ? "producer:pause" : "producer:resume", message);
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
    this.consumers
      .add(this.#receive, message, (consumerId) =>
        this.#signaling.request("consumer:ready", { consumerId }),
      )
      .catch((error: unknown) => {
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
    for (const stop of this.#stopWatching) stop();
    this.consumers.clear();
    this.#send?.close();
    this.#receive?.close();
  }

  async #createTransport(
    direction: "send" | "recv",
    iceServers: JoinReply["iceServers"],
  ): Promise<types.Transport> {
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
    this.#stopWatching.push(
      keepConnected(transport, {
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
