/**
 * One transformed track inside the engine process: a UDP socket to the SFU, the camera's track in,
 * the native session in the middle, the generated track out, and the state of it all.
 */

import type { RemoteInfo, Socket } from "node:dgram";
import { createSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import { RtcpSrPacket, RtpPacket } from "werift-rtp";
import type { EngineMessage, EngineTransform, OpenSession } from "../protocol.ts";
import type { Clock, Moment } from "./clock.ts";
import { FrameFeed } from "./frame-feed.ts";
import { DropCounters } from "./meters.ts";
import type {
  EncodedFrame,
  NativeEngine,
  NativeEvent,
  NativeSession,
  ServiceLevel,
} from "./native.ts";
import { InputStream } from "./rtp/input-stream.ts";
import { MediaTimeline } from "./rtp/media-timeline.ts";
import { OutputStream } from "./rtp/output-stream.ts";
import { isRtcpDatagram, parseRtcp } from "./rtp/rtcp.ts";
import { ClockConverter } from "./rtp/wall-clock.ts";
import { allDrops, SessionMeters } from "./session-meters.ts";
import { SessionStateMachine } from "./session-state.ts";

export interface EngineSessionOptions {
  open: OpenSession;
  engine: NativeEngine;
  clock: Clock;
  send: (message: EngineMessage) => void;
  onDeviceLost: (message: string) => void;
}

/** Settings under way whose first frame is awaited; newer ones make older ones superfluous. */
const MOST_REVISIONS = 256;
const TICK_MS = 20;
const PROGRESS_MS = 500;
const RECEIVER_REPORT_MS = 1000;
/** Room in the kernel for a burst: a key frame of a large picture while this process is busy. */
const RECEIVE_BUFFER_BYTES = 1024 * 1024;

export class EngineSession {
  readonly #options: EngineSessionOptions;
  readonly #socket: Socket;
  readonly #timeline: MediaTimeline;
  readonly #sfuClock: ClockConverter;
  /** This machine's own wall clock, for times that people are told. */
  readonly #wallClock: ClockConverter;
  readonly #feed: FrameFeed;
  readonly #input: InputStream;
  readonly #output: OutputStream;
  /** The lower layer, where there is one: the same pictures on the same timeline. */
  readonly #low: OutputStream | null;
  readonly #state: SessionStateMachine;
  readonly #drops = new DropCounters();
  readonly #meters = new SessionMeters();
  /** Revisions of the server by the revisions that the native session gave them. */
  readonly #revisions = new Map<number, number>();
  #native: NativeSession | null = null;
  #level: ServiceLevel = "full";
  #mode: EngineTransform["mode"];
  #timer: NodeJS.Timeout | null = null;
  #closed = false;
  #lastProgressMs = Number.NEGATIVE_INFINITY;
  #lastReceiverReportMs = Number.NEGATIVE_INFINITY;

  constructor(options: EngineSessionOptions) {
    this.#options = options;
    const { open, clock } = options;
    this.#mode = open.transform.mode;
    // The native session calls the settings that it was opened with 0.
    this.#revisions.set(0, open.revision);
    this.#socket = createSocket({
      type: isIPv6(open.localIp) ? "udp6" : "udp4",
      recvBufferSize: RECEIVE_BUFFER_BYTES,
    });
    const start = clock.now();
    this.#timeline = new MediaTimeline(start, open.output.timelineMs);
    this.#sfuClock = new ClockConverter({ offsetMs: start.unixMs - start.monoMs });
    this.#wallClock = new ClockConverter({ offsetMs: start.unixMs - start.monoMs });
    this.#feed = new FrameFeed({
      push: ({ data, captureMonoMs }) =>
        this.#native?.pushFrame(data, this.#timeline.at(captureMonoMs)),
      onOverflow: (frames) => {
        this.#drops.add("feedFull", frames);
        this.#input.requestKeyFrame("frames came faster than they can be decoded");
      },
    });
    this.#input = new InputStream({
      ...open.input,
      sfuClock: this.#sfuClock,
      localSsrc: open.output.ssrc,
      sendRtcp: (packet) => this.#sendDatagram(packet),
      onFrame: (frame) => {
        this.#meters.onInput(clock.now().monoMs);
        this.#feed.push(frame);
      },
      onDrop: (reason) => this.#drops.add(reason),
    });
    this.#output = new OutputStream({
      ...open.output,
      timeline: this.#timeline,
      sfuClock: this.#sfuClock,
      bitrateBps: open.bitrateBps,
      send: (packet) => this.#sendDatagram(packet),
      onKeyFrameRequest: () => this.#native?.requestKeyFrame(),
      onBitrate: (bps) => this.#native?.setBitrate(bps),
    });
    const { low } = open.output;
    this.#low =
      low === null
        ? null
        : new OutputStream({
            ...open.output,
            ...low,
            timeline: this.#timeline,
            sfuClock: this.#sfuClock,
            send: (packet) => this.#sendDatagram(packet),
            onKeyFrameRequest: () => this.#native?.requestLowKeyFrame(),
            // It is the layer for those who have no more than this.
            onBitrate: () => undefined,
          });
    this.#state = new SessionStateMachine(start.monoMs, (standing) =>
      this.#send({ type: "sessionState", sessionId: open.sessionId, ...standing }),
    );
  }

  get id(): string {
    return this.#options.open.sessionId;
  }

  /**
   * Opens the native session and the socket.
   * @returns the local port
   * @throws Error when the port is taken or the native session refuses the options
   */
  async start(): Promise<number> {
    const { open, engine } = this.#options;
    try {
      await this.#bind(open.localIp, open.localPort);
      this.#native = engine.createSession(
        {
          id: open.sessionId,
          inputCodec: open.input.codec,
          outputCodec: open.output.codec,
          bitrateBps: open.bitrateBps,
          lowLayerBitrateBps: open.output.low?.bitrateBps ?? 0,
          maxFps: open.maxFps,
          delayBudgetMs: open.delayBudgetMs,
          transform: open.transform,
        },
        (frame) => this.#onEncodedFrame(frame),
        (event) => this.#onNativeEvent(event),
      );
    } catch (error) {
      await this.close("it could not be opened");
      throw error;
    }
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    return this.#socket.address().port;
  }

  /** New settings, visible some frames later; an "applied" message tells from which on. */
  setTransform(transform: EngineTransform, revision: number): void {
    if (this.#native !== null) {
      this.#revisions.set(this.#native.setTransform(transform), revision);
      const [oldest] = this.#revisions.keys();
      if (this.#revisions.size > MOST_REVISIONS && oldest !== undefined) {
        this.#revisions.delete(oldest);
      }
      this.#mode = transform.mode;
    }
  }

  /** Native revisions up to `last` will not be named any more. */
  #forgetRevisions(last: number): void {
    for (const revision of this.#revisions.keys()) {
      if (revision <= last) {
        this.#revisions.delete(revision);
      }
    }
  }

  /** Ends the session; safe to call twice. Resolves when the native session let go of everything. */
  async close(reason: string): Promise<void> {
    if (this.#closed) {
      return;
    }
    this.#state.stop(reason);
    this.#closed = true;
    if (this.#timer !== null) {
      clearInterval(this.#timer);
    }
    this.#socket.close();
    await this.#native?.close();
  }

  #bind(address: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.once("error", reject);
      this.#socket.bind({ address, port, exclusive: true }, () => {
        this.#socket.off("error", reject);
        // For instance "connection refused" while the SFU's side is not there yet.
        this.#socket.on("error", () => this.#drops.add("socketError"));
        this.#socket.on("message", (datagram, from) => this.#onDatagram(datagram, from));
        resolve();
      });
    });
  }

  #onDatagram(datagram: Buffer, from: RemoteInfo): void {
    const { transport } = this.#options.open;
    if (from.port !== transport.port || from.address !== transport.ip) {
      this.#drops.add("stranger");
      return;
    }
    try {
      if (isRtcpDatagram(datagram)) {
        this.#onRtcp(datagram);
      } else {
        this.#onRtp(datagram);
      }
    } catch {
      // Whatever the bytes were: they must not reach the other sessions of this process.
      this.#drops.add("malformedPacket");
    }
  }

  #onRtp(datagram: Buffer): void {
    const packet = RtpPacket.deSerialize(datagram);
    const { ssrc, payloadType } = this.#options.open.input;
    if (packet.header.version !== 2 || packet.header.paddingSize > datagram.length) {
      this.#drops.add("malformedPacket");
    } else if (packet.header.ssrc !== ssrc) {
      this.#drops.add("unknownSsrc");
    } else if (packet.header.payloadType !== payloadType) {
      this.#drops.add("unknownPayloadType");
    } else {
      this.#input.onRtp(packet, this.#options.clock.now());
    }
  }

  #onRtcp(datagram: Buffer): void {
    const now = this.#options.clock.now();
    for (const packet of parseRtcp(datagram)) {
      if (packet instanceof RtcpSrPacket && packet.ssrc === this.#options.open.input.ssrc) {
        this.#input.onSenderReport(packet, now);
      }
      this.#output.onRtcp(packet, now);
      this.#low?.onRtcp(packet, now);
    }
  }

  #onEncodedFrame(frame: EncodedFrame): void {
    if (this.#closed) {
      return;
    }
    const now = this.#options.clock.now();
    const captureMonoMs = this.#timeline.toMonoMs(frame.captureTimeMs);
    const { data, keyFrame } = frame;
    const bytes = this.#output.sendFrame({ data, keyFrame, captureMonoMs }, now);
    if (frame.low !== undefined) this.#low?.sendFrame({ ...frame.low, captureMonoMs }, now);
    this.#meters.onOutput(frame, bytes, captureMonoMs, now.monoMs);
    if (this.#meters.framesOut === 1) {
      const captureTimeMs = this.#wallClock.toWallMs(captureMonoMs);
      this.#send({ type: "firstFrame", sessionId: this.id, captureTimeMs });
      this.#updateState(now);
    }
    // The first report follows the first frame at once: lip sync waits for it.
    this.#sendReports(now);
  }

  #onNativeEvent(event: NativeEvent): void {
    if (this.#closed) {
      return;
    }
    const sessionId = this.id;
    switch (event.type) {
      case "needKeyFrame":
        this.#input.requestKeyFrame(event.reason);
        break;
      case "applied": {
        const revision = this.#revisions.get(event.revision);
        if (revision !== undefined) {
          const { complete } = event;
          const captureTimeMs = this.#wallClock.toWallMs(
            this.#timeline.toMonoMs(event.captureTimeMs),
          );
          this.#forgetRevisions(complete ? event.revision : event.revision - 1);
          this.#send({ type: "applied", sessionId, revision, captureTimeMs, complete });
        }
        break;
      }
      case "inputSize":
        this.#send({
          type: "log",
          level: "info",
          message: "the camera's picture has a new size",
          fields: { sessionId, width: event.width, height: event.height },
        });
        break;
      case "level":
        this.#level = event.level;
        this.#send({ ...event, sessionId });
        this.#updateState(this.#options.clock.now());
        break;
      case "error":
        this.#send({
          type: "sessionError",
          sessionId,
          code: "broken",
          message: event.message,
          fatal: event.fatal,
        });
        break;
      case "deviceLost":
        this.#options.onDeviceLost(event.message);
        break;
    }
  }

  #tick(): void {
    const now = this.#options.clock.now();
    this.#wallClock.observe(now.unixMs, now.monoMs);
    this.#feed.tick();
    this.#input.tick(now);
    this.#output.tick(now);
    this.#low?.tick(now);
    this.#sendReports(now);
    if (now.monoMs - this.#lastProgressMs >= PROGRESS_MS) {
      this.#lastProgressMs = now.monoMs;
      this.#updateState(now);
      this.#sendProgress(now);
    }
  }

  #sendReports(now: Moment): void {
    const blocks = () => this.#input.reportBlocks(now);
    const report = this.#output.dueReport(now, blocks);
    if (report !== null) {
      this.#lastReceiverReportMs = now.monoMs;
      this.#sendDatagram(report);
    } else if (now.monoMs - this.#lastReceiverReportMs >= RECEIVER_REPORT_MS) {
      this.#lastReceiverReportMs = now.monoMs;
      this.#sendDatagram(this.#input.receiverReport(now));
    }
    // Without reports of its own the SFU cannot change a viewer to the layer.
    const low = this.#low?.dueReport(now, () => []);
    if (low) this.#sendDatagram(low);
  }

  #updateState(now: Moment): void {
    // With a background the person's picture goes on: only the scene is not repainted any more.
    const goesOn = this.#level === "fallback" && this.#mode === "background";
    const level = goesOn ? "lowerRate" : this.#level;
    const info = this.#options.engine.info();
    const flow = this.#meters.flow(now.monoMs);
    this.#state.update({
      ...flow,
      nowMs: now.monoMs,
      expectedFps: Math.min(info.fps, this.#options.open.maxFps, flow.inputFps),
      framesPerChunk: info.framesPerChunk,
      level,
    });
  }

  #sendProgress(now: Moment): void {
    const native = this.#native?.stats();
    this.#send({
      type: "progress",
      sessionId: this.id,
      nextSequence: this.#output.nextSequence,
      nextPictureId: this.#output.nextPictureId,
      low: this.#low && {
        nextSequence: this.#low.nextSequence,
        nextPictureId: this.#low.nextPictureId,
      },
      timelineMs: this.#timeline.at(now.monoMs),
      jitterWaitMs: this.#input.jitterWaitMs(now),
      clockSteps: this.#input.clockSteps,
      ...this.#meters.readings(now.monoMs, native),
      drops: allDrops(this.#drops, native),
    });
  }

  #sendDatagram(datagram: Buffer): void {
    if (this.#closed) {
      return;
    }
    const { ip, port } = this.#options.open.transport;
    this.#socket.send(datagram, port, ip, (error) => {
      if (error) {
        this.#drops.add("sendError");
      }
    });
  }

  #send(message: EngineMessage): void {
    if (!this.#closed) {
      this.#options.send(message);
    }
  }
}
