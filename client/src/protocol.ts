/** The server's own message types: one source for both sides, erased when the page is built. */
import type {
  ClientMessage,
  JoinReply,
  ServerEvents,
  TransformStatus,
} from "../../server/edges/socket/protocol.ts";

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
  TransformStatus,
  TransformSummary,
} from "../../server/edges/socket/protocol.ts";
export type { ErrorBody, ErrorCode } from "../../server/errors.ts";

/** A camera or a microphone. */
export type Source = JoinReply["producers"][number]["source"];
/** What the server knows of one own track. */
export type OwnProducer = JoinReply["producers"][number];
/** The own transform's numbers, about once a second. */
export type TransformFigures = ServerEvents["transform:stats"];
/** Where one who waits for a place in the engine stands. */
export type QueuePlace = NonNullable<TransformStatus["queue"]>;
/** What viewers get when the transform cannot go on, first choice first. */
export type FallbackOrder = NonNullable<ClientMessage<"privacy:set">["fallback"]>;
/** At which size a tile is seen, in device pixels. */
export type TileView = ClientMessage<"view:set">["tiles"][number];
