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
import { fallbackOrderSchema } from "../../domain/fallback.ts";
import type { Grants } from "../../domain/grants.ts";
import { identitySchema, roomIdSchema } from "../../domain/ids.ts";
import type { ParticipantInfo, ParticipantTransform, TransformSummary } from "../../domain/info.ts";
import type { ActiveSettings } from "../../domain/settings.ts";
import { transformSettingsSchema } from "../../domain/settings.ts";
import type { Source, TrackVariant as TrackRole } from "../../domain/tracks.ts";
import type { ShownVideo, TransformFigures, TransformState } from "../../domain/transform-state.ts";
import type { ErrorBody } from "../../errors.ts";
import type { NewConsumer } from "../../media/types.ts";
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
    /**
     * True: "hide my room". No pixel of the room reaches anybody: the original is never sent, and a
     * restyle paints the person cut out first. `privacy:set` changes it later.
     */
    hideOriginal: z.boolean().optional(),
    /**
     * What an earlier join answered as `resume`: takes that place back at once, whatever became of
     * the token and of the old connection. Unknown or outdated: an ordinary join.
     */
    resume: z.string().max(128).optional(),
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
  /** Several at once; ids that are gone are ignored. */
  "consumers:ready": z.strictObject({ consumerIds: z.array(id).max(512) }),
  /**
   * At which size each tile is seen, in device pixels. Replaces what was said before; who is not
   * named is seen at full size. It decides layers, priority, and what flows at all.
   */
  "view:set": z.strictObject({
    tiles: z
      .array(
        z.strictObject({
          participantId: id,
          visible: z.boolean(),
          width: z.int().min(0).max(16_384),
          height: z.int().min(0).max(16_384),
        }),
      )
      .max(256),
  }),
  "transform:set": transformSettingsSchema,
  "transform:get": z.strictObject({}),
  /** Tightens at once; loosens when the new picture is there. */
  "privacy:set": z.strictObject({
    hideRoom: z.boolean().optional(),
    /** What viewers get when the transform cannot go on, in this order. */
    fallback: fallbackOrderSchema.optional(),
  }),
  /** Another token for the same room and identity: its grants and its end count from now on. */
  "token:refresh": z.strictObject({ token: z.string().max(8192) }),
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
  /** For the next join's `resume`: a secret of this stay. */
  resume: string;
  /** True: an earlier stay goes on. */
  resumed: boolean;
  /**
   * True: the transports of the stay that was resumed live on, with these producers and consumers.
   * False: all earlier transports, producers and consumers are gone; set the media up anew.
   */
  mediaKept: boolean;
  producers: { source: Source; producerId: string; paused: boolean }[];
  consumers: NewConsumer[];
  hideOriginal: boolean;
  /** How the own transform stands, so that a resumed stay shows the look that is in force. */
  transform: ParticipantTransform;
  /** Unix time at which the token ends, null without one. */
  tokenExpiresAtMs: number | null;
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
  "consumers:ready": Nothing;
  "view:set": Nothing;
  "transform:set": { revision: number };
  "transform:get": ParticipantTransform;
  "privacy:set": { version: number };
  "token:refresh": { expiresAtMs: number };
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
  /** State, settings, queue position or delay changed. Figures come by transform:stats. */
  "transform:state": ParticipantTransform;
  /** About once a second to the participant itself; not kept for a connection that is away. */
  "transform:stats": TransformFigures;
  /** To the participant alone: the engine does not take these settings, the ones before stay. */
  "transform:refused": { revision: number } & ErrorBody;
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
   * The room's media died with its worker and lives on another one. Join again on this connection:
   * it takes the same place (same participantId); all transports, producers and consumers are void.
   */
  "room:rebuilt": { roomId: string; reason: string };
  /** The server takes nobody in any more and ends after so many seconds. */
  "server:draining": { secondsLeft: number };
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
