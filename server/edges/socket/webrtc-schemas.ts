/**
 * Shapes of the WebRTC objects that clients send. They come from browsers and
 * mediasoup-client, so unknown keys pass (newer clients add some), but sizes are
 * bounded. mediasoup itself checks the meaning of what gets through.
 */
import { z } from "zod";

const text = z.string().min(1).max(256);
const parameters = z.record(z.string().max(64), z.union([z.string().max(512), z.number()]));
const rtcpFeedback = z.array(
  z.looseObject({ type: text, parameter: z.string().max(64).optional() }),
);
const payloadType = z.int().min(0).max(127);
const ssrc = z.int().min(1).max(0xffffffff);
const kind = z.enum(["audio", "video"]);

export const mediaKindSchema = kind;

export const dtlsParametersSchema = z.strictObject({
  role: z.enum(["auto", "client", "server"]).optional(),
  fingerprints: z
    .array(
      z.strictObject({
        algorithm: z.enum(["sha-1", "sha-224", "sha-256", "sha-384", "sha-512"]),
        value: text,
      }),
    )
    .min(1)
    .max(8),
});

export const rtpParametersSchema = z.looseObject({
  mid: z.string().max(32).optional(),
  codecs: z
    .array(
      z.looseObject({
        mimeType: text,
        payloadType,
        clockRate: z.int().positive(),
        channels: z.int().min(1).max(16).optional(),
        parameters: parameters.optional(),
        rtcpFeedback: rtcpFeedback.max(16).optional(),
      }),
    )
    .min(1)
    .max(16),
  headerExtensions: z
    .array(
      z.looseObject({
        uri: text,
        id: z.int().min(1).max(255),
        encrypt: z.boolean().optional(),
        parameters: parameters.optional(),
      }),
    )
    .max(24)
    .optional(),
  encodings: z
    .array(
      z.looseObject({
        ssrc: ssrc.optional(),
        rid: z.string().max(32).optional(),
        codecPayloadType: payloadType.optional(),
        rtx: z.looseObject({ ssrc }).optional(),
        dtx: z.boolean().optional(),
        scalabilityMode: z.string().max(32).optional(),
        maxBitrate: z.number().positive().optional(),
      }),
    )
    .min(1)
    .max(4)
    .optional(),
  rtcp: z
    .looseObject({
      cname: z.string().max(256).optional(),
      reducedSize: z.boolean().optional(),
      mux: z.boolean().optional(),
    })
    .optional(),
  msid: z.string().max(256).optional(),
});

export const rtpCapabilitiesSchema = z.looseObject({
  codecs: z
    .array(
      z.looseObject({
        kind,
        mimeType: text,
        preferredPayloadType: payloadType,
        clockRate: z.int().positive(),
        channels: z.int().min(1).max(16).optional(),
        parameters: parameters.optional(),
        rtcpFeedback: rtcpFeedback.max(16).optional(),
      }),
    )
    .min(1)
    .max(64),
  headerExtensions: z
    .array(
      z.looseObject({
        kind,
        uri: text,
        preferredId: z.int().min(1).max(255),
        preferredEncrypt: z.boolean().optional(),
        direction: z.enum(["sendrecv", "sendonly", "recvonly", "inactive"]).optional(),
      }),
    )
    .max(64)
    .optional(),
});
