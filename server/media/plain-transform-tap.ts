/** The tap over UDP: one PlainTransport, a consumer of the camera and the generated producer. */
import type { types as ms } from "mediasoup";
import { toError } from "../errors.ts";
import {
  ABS_CAPTURE_TIME,
  type OutputCodec,
  outputCodecFor,
  type VideoCodec,
  videoCodecOf,
} from "./codecs.ts";
import type { TransformTap } from "./transform-tap.ts";

export interface PlainTapOptions {
  router: ms.Router;
  original: ms.Producer;
  /** SSRC of the generated track. */
  outputSsrc: number;
  /** SSRC of its lower layer; undefined: it has none. */
  lowSsrc?: number | undefined;
  /** mediasoup's end of the link. */
  listenIp: string;
  portRange: { min: number; max: number };
  /** Viewers' key frame requests closer together than this reach the engine as one. */
  keyFrameRequestDelayMs: number;
  msid: string;
}

/** The engine resends on NACK and answers PLI; it takes no RTX and no transport-cc. */
const ENGINE_FEEDBACK = [
  { type: "nack" },
  { type: "nack", parameter: "pli" },
  { type: "ccm", parameter: "fir" },
];

const ENGINE_HEADER_EXTENSIONS = ["urn:ietf:params:rtp-hdrext:sdes:mid", ABS_CAPTURE_TIME];

/** What the engine can receive, in the router's numbering. */
function engineCapabilities(router: ms.Router): ms.RtpCapabilities {
  const { codecs = [], headerExtensions = [] } = router.rtpCapabilities as ms.RtpCapabilities;
  return {
    codecs: codecs
      .filter((codec) => codec.kind === "video" && videoCodecOf(codec.mimeType) !== undefined)
      .map((codec) => ({ ...codec, rtcpFeedback: ENGINE_FEEDBACK })),
    headerExtensions: headerExtensions.filter(
      (extension) => extension.kind === "video" && ENGINE_HEADER_EXTENSIONS.includes(extension.uri),
    ),
  };
}

/** The generated track: the CNAME of what the engine receives, and its codec where it encodes it. */
function generatedParameters(consumer: ms.Consumer, options: PlainTapOptions): ms.RtpParameters {
  const codec = outputCodecOf(consumer, options.router);
  const id = outputCaptureTimeId(options.router);
  return {
    codecs: [
      {
        mimeType: codec.mimeType,
        payloadType: codec.payloadType,
        clockRate: 90_000,
        parameters: codec.parameters ?? {},
        rtcpFeedback: ENGINE_FEEDBACK,
      },
    ],
    headerExtensions: id === null ? [] : [{ uri: ABS_CAPTURE_TIME, id }],
    encodings: [
      // Lowest layer first.
      ...(options.lowSsrc === undefined ? [] : [{ ssrc: options.lowSsrc }]),
      { ssrc: options.outputSsrc },
    ],
    rtcp: { cname: consumer.rtpParameters.rtcp?.cname ?? "", reducedSize: true },
    msid: options.msid,
  };
}

interface OutputFormat {
  codec: OutputCodec;
  mimeType: string;
  payloadType: number;
  parameters: Record<string, unknown>;
}

/** What the engine encodes for a camera, in the router's numbering. */
function outputCodecOf(consumer: ms.Consumer, router: ms.Router): OutputFormat {
  const input = firstCodec(consumer);
  const codec = outputCodecFor(videoCodecOf(input.mimeType) as VideoCodec);
  const { codecs = [] } = router.rtpCapabilities as ms.RtpCapabilities;
  const found =
    videoCodecOf(input.mimeType) === codec
      ? input
      : codecs.find(({ mimeType }) => videoCodecOf(mimeType) === codec);
  if (found === undefined) throw new Error(`Expected a router with ${codec}.`);
  const payloadType =
    "payloadType" in found ? found.payloadType : (found.preferredPayloadType ?? 0);
  return { codec, mimeType: found.mimeType, payloadType, parameters: found.parameters ?? {} };
}

function outputCaptureTimeId(router: ms.Router): number | null {
  const { headerExtensions = [] } = router.rtpCapabilities as ms.RtpCapabilities;
  return headerExtensions.find(({ uri }) => uri === ABS_CAPTURE_TIME)?.preferredId ?? null;
}

function firstCodec(consumer: ms.Consumer): ms.RtpCodecParameters {
  const codec = consumer.rtpParameters.codecs[0];
  if (codec === undefined) throw new Error("The engine's consumer has no codec.");
  return codec;
}

export class PlainTransformTap implements TransformTap {
  readonly local: TransformTap["local"];
  readonly input: TransformTap["input"];
  readonly output: TransformTap["output"];
  readonly #transport: ms.PlainTransport;
  readonly #consumer: ms.Consumer;
  readonly #listeners: ((reason: string) => void)[] = [];
  #closedReason: string | undefined;

  private constructor(
    options: PlainTapOptions,
    transport: ms.PlainTransport,
    consumer: ms.Consumer,
    generated: ms.Producer,
  ) {
    this.#transport = transport;
    this.#consumer = consumer;
    const codec = firstCodec(consumer);
    this.local = { ip: transport.tuple.localAddress, port: transport.tuple.localPort };
    this.input = {
      ssrc: consumer.rtpParameters.encodings?.[0]?.ssrc ?? 0,
      payloadType: codec.payloadType,
      codec: videoCodecOf(codec.mimeType) as VideoCodec,
      cname: consumer.rtpParameters.rtcp?.cname ?? "",
      absCaptureTimeId:
        consumer.rtpParameters.headerExtensions?.find(({ uri }) => uri === ABS_CAPTURE_TIME)?.id ??
        null,
    };
    const output = outputCodecOf(consumer, options.router);
    this.output = {
      producerId: generated.id,
      payloadType: output.payloadType,
      codec: output.codec,
      absCaptureTimeId: outputCaptureTimeId(options.router),
    };
    consumer.on("producerclose", () => this.#close("the camera was stopped"));
    transport.on("routerclose", () => this.#close("the room's media ended"));
  }

  static async create(
    options: PlainTapOptions,
  ): Promise<{ tap: PlainTransformTap; generated: ms.Producer }> {
    const { router, original } = options;
    const transport = await router.createPlainTransport({
      listenInfo: { protocol: "udp", ip: options.listenIp, portRange: options.portRange },
      rtcpMux: true,
      comedia: false,
    });
    try {
      const consumer = await transport.consume({
        producerId: original.id,
        rtpCapabilities: engineCapabilities(router),
        paused: true,
      });
      const generated = await transport.produce({
        kind: "video",
        rtpParameters: generatedParameters(consumer, options),
        keyFrameRequestDelay: options.keyFrameRequestDelayMs,
      });
      return {
        tap: new PlainTransformTap(options, transport, consumer, generated),
        generated,
      };
    } catch (error) {
      transport.close();
      throw new Error(`The engine cannot be linked to the camera: ${toError(error).message}`, {
        cause: error,
      });
    }
  }

  async connect(engine: { ip: string; port: number }): Promise<void> {
    await this.#transport.connect(engine);
  }

  async start(): Promise<void> {
    if (this.#consumer.paused) await this.#consumer.resume();
    else await this.#consumer.requestKeyFrame();
  }

  async pause(): Promise<void> {
    await this.#consumer.pause();
  }

  close(): void {
    this.#close("the transform was stopped");
  }

  on(_event: "closed", listener: (reason: string) => void): void {
    if (this.#closedReason === undefined) this.#listeners.push(listener);
    else listener(this.#closedReason);
  }

  #close(reason: string): void {
    if (this.#closedReason !== undefined) return;
    this.#closedReason = reason;
    this.#transport.close();
    for (const listener of this.#listeners) listener(reason);
  }
}
