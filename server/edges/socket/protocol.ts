/**
 * The signalling protocol: socket.io on /socket.io, `auth: {token?}`.
 *
 * Every client message is acknowledged with {@link Ack}. This file is the single
 * source of the messages: the server validates with the schemas, the client and
 * the load test import the types only.
 */
import type { types as ms } from "mediasoup";
import { z } from "zod";
import type { Offers, Preset } from "../../config/presets.ts";
import type { IceServer } from "../../config/schema.ts";
import type { Grants } from "../../domain/grants.ts";
import { identitySchema, roomIdSchema } from "../../domain/ids.ts";
import { transformSettingsSchema } from "../../domain/settings.ts";
import type {
  ActiveSettings,
  NewConsumer,
  ParticipantInfo,
  ParticipantTransform,
  ShownVideo,
  TrackRole,
  TransformState,
  TransformSummary,
} from "../../domain/types.ts";
import type { ErrorBody } from "../../errors.ts";
import {
  dtlsParametersSchema,
  mediaKindSchema,
  rtpCapabilitiesSchema,
  rtpParametersSchema,
} from "./webrtc-schemas.ts";

/** Answer to every client message. */
export type Ack<T> = { ok: true; data: T } | { ok: false; error: ErrorBody };

const nameSchema = z
  .string()
  .trim()
  .min(1)
  .max(64)
  .regex(/^\P{Cc}*$/u, "expected no control characters");
const id = z.string().min(1).max(64);

/** Schemas of what the client sends, by message name. */
export const clientMessageSchemas = {
  join: z.strictObject({
    roomId: roomIdSchema,
    /** Left out: the token's identity, or in open mode one chosen by the server. */
    identity: identitySchema.optional(),
    name: nameSchema,
    /** True: nobody ever receives this participant's original video. Fixed for the stay. */
    hideOriginal: z.boolean().optional(),
    /**
     * True: try a look before going live. The participant is alone in a room of its own, which
     * nobody else can name; whoever may join roomId with its picture may do this.
     */
    preview: z.boolean().optional(),
  }),
  leave: z.strictObject({}),
  "transport:create": z.strictObject({ direction: z.enum(["send", "recv"]) }),
  "transport:connect": z.strictObject({ transportId: id, dtlsParameters: dtlsParametersSchema }),
  "transport:restart-ice": z.strictObject({ transportId: id }),
  produce: z.strictObject({
    transportId: id,
    kind: mediaKindSchema,
    rtpParameters: rtpParametersSchema,
    source: z.enum(["camera", "microphone"]),
  }),
  "producer:close": z.strictObject({ producerId: id }),
  "producer:pause": z.strictObject({ producerId: id }),
  "producer:resume": z.strictObject({ producerId: id }),
  /** From here on the server creates the consumers by itself and announces them. */
  subscribe: z.strictObject({ transportId: id, rtpCapabilities: rtpCapabilitiesSchema }),
  /** The client has set the track up: the server lets it flow when it should. */
  "consumer:ready": z.strictObject({ consumerId: id }),
  "transform:set": transformSettingsSchema,
  "transform:get": z.strictObject({}),
} as const;

export type ClientMessageName = keyof typeof clientMessageSchemas;
/** What a client may send (before defaults are filled in). */
export type ClientMessage<N extends ClientMessageName> = z.input<(typeof clientMessageSchemas)[N]>;
/** What the server works with (after validation and defaults). */
export type ParsedMessage<N extends ClientMessageName> = z.output<(typeof clientMessageSchemas)[N]>;

export type {
  ActiveSettings,
  Grants,
  IceServer,
  NewConsumer,
  ParticipantInfo,
  ParticipantTransform as TransformStatus,
  Preset,
  ShownVideo,
  TrackRole,
  TransformState,
  TransformSummary,
};

export interface JoinReply extends Offers {
  participantId: string;
  roomId: string;
  identity: string;
  routerRtpCapabilities: ms.RtpCapabilities;
  iceServers: IceServer[];
  /** Everybody else in the room. */
  participants: ParticipantInfo[];
  grants: Grants;
  limits: { promptMaxChars: number; maxParticipants: number; maxVideoBitrateBps: number };
  openMode: boolean;
}

export interface TransportReply {
  id: string;
  iceParameters: ms.IceParameters;
  iceCandidates: ms.IceCandidate[];
  dtlsParameters: ms.DtlsParameters;
}

type Nothing = Record<string, never>;

/** Data of the acknowledgement, by message name. */
export interface ClientReplies {
  join: JoinReply;
  leave: Nothing;
  "transport:create": TransportReply;
  "transport:connect": Nothing;
  "transport:restart-ice": { iceParameters: ms.IceParameters };
  produce: { producerId: string };
  "producer:close": Nothing;
  "producer:pause": Nothing;
  "producer:resume": Nothing;
  subscribe: Nothing;
  "consumer:ready": Nothing;
  "transform:set": { revision: number };
  "transform:get": ParticipantTransform;
}

/** Payloads of what the server sends, by event name. */
export interface ServerEvents {
  "participant:joined": ParticipantInfo;
  "participant:left": { participantId: string; reason: string };
  "participant:updated": ParticipantInfo;
  "consumer:new": NewConsumer;
  "consumer:closed": { consumerId: string };
  "consumer:paused": { consumerId: string };
  "consumer:resumed": { consumerId: string };
  "transform:state": ParticipantTransform;
  /**
   * captureTimeMs: Unix time of the first frame that shows this revision: any of it, or, complete,
   * nothing of the prompt before it. A prompt that comes in over several chunks is told twice.
   */
  "transform:applied": {
    participantId: string;
    revision: number;
    captureTimeMs: number;
    complete: boolean;
  };
  /**
   * The room's media died with its worker, or (roomId empty) the connection was away for too
   * long. Join again; all earlier ids are void.
   */
  "room:rebuilt": { roomId: string; reason: string };
  "server:closing": Nothing;
}
export type ServerEventName = keyof ServerEvents;

/** For `io<ServerToClient, ClientToServer>()` and `new Server<ClientToServer, ServerToClient>()`. */
export type ServerToClient = { [N in ServerEventName]: (payload: ServerEvents[N]) => void };
export type ClientToServer = {
  [N in ClientMessageName]: (
    message: ClientMessage<N>,
    acknowledge: (answer: Ack<ClientReplies[N]>) => void,
  ) => void;
};
