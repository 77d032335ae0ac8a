/** A room whose transforms reach a real engine, without mediasoup around it. */
import { Admission, type AdmissionLimits } from "../../server/domain/admission.ts";
import type { Participant } from "../../server/domain/participant.ts";
import type { Room } from "../../server/domain/room.ts";
import { Rooms } from "../../server/domain/rooms.ts";
import { schedule } from "../../server/domain/schedule.ts";
import type { ActiveSettings, TransformSettings } from "../../server/domain/settings.ts";
import type { TrackRef } from "../../server/domain/tracks.ts";
import type { EngineMetrics } from "../../server/engine/metrics.ts";
import type { SessionHost } from "../../server/engine/pool.ts";
import type { EngineTransform } from "../../server/engine/protocol.ts";
import type { TransformTap, TransformTapOptions } from "../../server/media/transform-tap.ts";
import { createLogger } from "../../server/telemetry/logger.ts";
import { TransformCounters } from "../../server/transform/counters.ts";
import { secureRandom } from "../../server/transform/random.ts";
import { TransformService } from "../../server/transform/service.ts";
import type { TransformConfig } from "../../server/transform/session.ts";

export interface StageOptions {
  engine: Pick<SessionHost, "open" | "closeSession">;
  engineMetrics: EngineMetrics;
  config: TransformConfig;
  toEngine?: (settings: ActiveSettings) => EngineTransform;
  /** Places in the engine. Default 2. */
  places?: number;
  limits?: Partial<AdmissionLimits>;
  createTap: (participant: Participant, options: TransformTapOptions) => Promise<TransformTap>;
}

const GRANTS = { publish: true, view: true, transform: true, admin: false };

export class TransformStage {
  readonly room: Room;
  readonly rooms: Rooms;
  readonly admission: Admission;
  readonly #transforms: TransformService;

  constructor(options: StageOptions) {
    const onListenerError = (error: unknown) => {
      throw error;
    };
    this.rooms = new Rooms({
      maxRooms: 10,
      maxParticipantsPerRoom: 50,
      maxPreviewsPerAddress: 10,
      autoCreate: true,
      emptySeconds: 60,
      nowMs: Date.now,
      schedule,
      onListenerError,
    });
    const limits = { perRoom: 0, perIdentity: 0, perAddress: 0, queueLength: 0, ...options.limits };
    this.admission = new Admission(limits, () => performance.now());
    this.admission.setPlaces(options.places ?? 2);
    this.#transforms = new TransformService(this.rooms, {
      engine: options.engine,
      logger: createLogger("silent"),
      random: secureRandom,
      schedule,
      admission: this.admission,
      counters: new TransformCounters(options.engineMetrics),
      config: options.config,
      refreshPlaces: () => undefined,
      toEngine: options.toEngine ?? ((settings) => settings),
      createTap: async (room, participant, request) => {
        const tap = await options.createTap(participant, request);
        const track = trackOf(participant.id, tap.output.producerId, "generated");
        room.addGenerated(participant, track);
        tap.on("closed", () => room.removeGenerated(participant, track));
        return tap;
      },
    });
    this.room = this.rooms.create("room");
  }

  /** Somebody with a camera. */
  join(id: string, options: { hideRoom?: boolean; cameraId?: string } = {}): Participant {
    const { hideRoom = false, cameraId = `camera of ${id}` } = options;
    const person = { id, identity: id, name: id, grants: GRANTS, hideRoom };
    const participant = this.room.join({ ...person, joinedAtMs: 0, address: "127.0.0.1" });
    this.camera(participant, cameraId);
    return participant;
  }

  /** The participant's camera from now on. */
  camera(participant: Participant, cameraId: string): void {
    if (participant.camera !== undefined) this.room.unpublish(participant, participant.camera);
    this.room.publish(participant, trackOf(participant.id, cameraId, "original"));
  }

  /** Asks for settings and waits until they are taken. @returns the revision */
  async set(participant: Participant, settings: TransformSettings): Promise<number> {
    const revision = this.room.wish(participant, settings);
    await this.#transforms.settled(participant, revision);
    return revision;
  }

  close(): void {
    this.#transforms.close();
    this.rooms.close();
  }
}

function trackOf(owner: string, id: string, variant: TrackRef["variant"]): TrackRef {
  return { id, owner, source: "camera", variant, kind: "video", layers: 1, routerId: "router" };
}
