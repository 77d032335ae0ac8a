/** The server's own message types: one source for both sides, erased when the page is built. */
export type { ErrorBody, ErrorCode } from "../../server/errors.ts";
export type {
  Ack,
  ClientMessage,
  ClientMessageName,
  ClientReplies,
  JoinReply,
  NewConsumer,
  ParticipantInfo,
  Preset,
  ServerEventName,
  ServerEvents,
  ShownVideo,
  TrackRole,
  TransformStatus,
  TransformSummary,
} from "../../server/signaling/protocol.ts";
export type {
  ActiveSettings,
  SceneName,
  TransformSettingsInput,
} from "../../server/transform/settings.ts";
