/**
 * How the transform gets at a participant's media: one plain RTP leg between the
 * router and the engine, used in both directions.
 */
import type { OutputCodec, VideoCodec } from "./codecs.ts";

export interface TransformTapOptions {
  /** The camera's producer, which the engine will receive. */
  originalProducerId: string;
  /** SSRC that the engine sends the generated track with (1 to 2^32-1). */
  outputSsrc: number;
  /** SSRC of its lower layer; undefined: it has none. */
  lowSsrc?: number;
}

/**
 * Life cycle: created (ports known, nothing flows), connect() once the engine
 * has bound its socket, start() when it is ready to receive, close(). The
 * generated producer exists from the beginning, so that viewers are set up
 * before the first frame. An engine restart needs no new tap: the engine binds
 * the same port again and calls start() anew.
 */
export interface TransformTap {
  /** mediasoup's end: the engine sends to it and accepts packets from it only. */
  readonly local: { ip: string; port: number };
  /** What the engine receives. */
  readonly input: {
    ssrc: number;
    payloadType: number;
    codec: VideoCodec;
    cname: string;
    /** Id of the abs-capture-time header extension; null when the camera does not send it. */
    absCaptureTimeId: number | null;
  };
  /** What the engine sends; use input.cname in its sender reports. */
  readonly output: {
    producerId: string;
    payloadType: number;
    codec: OutputCodec;
    absCaptureTimeId: number | null;
  };
  /** Tells mediasoup where the engine listens, as its worker reaches it. Once per tap. */
  connect(engine: { ip: string; port: number }): Promise<void>;
  /** Lets the original flow to the engine; begins with a key frame request. */
  start(): Promise<void>;
  /** Stops the flow to the engine (for instance while it restarts). */
  pause(): Promise<void>;
  /** Ends the leg and the generated producer. Safe to call twice. */
  close(): void;
  /**
   * "closed" comes once, also when the camera stopped or the worker died.
   * A listener that comes too late is called at once.
   */
  on(event: "closed", listener: (reason: string) => void): void;
}
