/** What the handlers of client messages need. */
import type { Offers } from "../../config/presets.ts";
import type { Config } from "../../config/schema.ts";
import type { Membership, Memberships } from "../../domain/memberships.ts";
import type { Rooms } from "../../domain/rooms.ts";
import type { MediaService } from "../../media/media-service.ts";
import type { AccessPolicy } from "../../security/access.ts";
import type { RateLimit } from "../../security/rate-limit.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Transforms } from "../../transform/service.ts";
import type { ClientSession } from "./session.ts";

export interface HandlerDeps {
  config: Pick<Config, "sfu" | "limits">;
  access: AccessPolicy;
  rooms: Rooms;
  memberships: Memberships;
  media: MediaService;
  transforms: Transforms;
  offers: Offers;
  metrics: Metrics;
  /** How often one participant may ask for another look. */
  lookRate: RateLimit;
  /** Called when a session has become (or is no longer) a participant's. */
  bind(session: ClientSession, member: Membership | undefined): void;
  nowMs: () => number;
}
