/** The server's own message types: one source for both sides, erased when the page is built. */

export type {
  ActiveSettings,
  SceneName,
  TransformSettingsInput,
} from "../../server/domain/settings.ts";
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
} from "../../server/edges/socket/protocol.ts";
export type { ErrorBody, ErrorCode } from "../../server/errors.ts";
