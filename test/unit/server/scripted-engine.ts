/** An engine that the test plays: the server's own transforms, with real taps, talk to it. */
import type { CreateEngine } from "../../../server/app/engine.ts";
import { Admission } from "../../../server/domain/admission.ts";
import { schedule } from "../../../server/domain/schedule.ts";
import { createEngineMetrics } from "../../../server/engine/metrics.ts";
import type { SessionHost } from "../../../server/engine/pool.ts";
import type { EngineTransform } from "../../../server/engine/protocol.ts";
import type {
  RemoteSession,
  RemoteSessionListener,
  SessionSpec,
} from "../../../server/engine/remote-session.ts";
import { TransformCounters } from "../../../server/transform/counters.ts";
import { engineSettings } from "../../../server/transform/engine-settings.ts";
import { secureRandom } from "../../../server/transform/random.ts";
import { TransformService } from "../../../server/transform/service.ts";

/** One session as the engine has it. */
export class ScriptedSession {
  readonly spec: SessionSpec;
  readonly listener: RemoteSessionListener;
  transform: EngineTransform;
  revision: number;
  closed = false;

  constructor(spec: SessionSpec, revision: number, listener: RemoteSessionListener) {
    this.spec = spec;
    this.transform = spec.transform;
    this.revision = revision;
    this.listener = listener;
  }

  setTransform(transform: EngineTransform, revision: number): void {
    this.transform = transform;
    this.revision = revision;
  }

  /** Frames with the newest settings come out. */
  goLive(revision = this.revision): void {
    this.listener.onFirstFrame();
    this.listener.onApplied(revision, Date.now(), true);
    this.listener.onState({ state: "live", cause: "none", reason: "" });
  }

  /** No frames come out, and that is the engine's fault. */
  stall(): void {
    this.listener.onState({ state: "fallback", cause: "engine", reason: "the engine died" });
  }
}

export class ScriptedEngine implements Pick<SessionHost, "open" | "closeSession"> {
  readonly sessions: ScriptedSession[] = [];
  /** Holds back the answer to open() until it resolves. */
  gate: Promise<void> = Promise.resolve();

  /** The newest session that is open. */
  get session(): ScriptedSession | undefined {
    return this.sessions.findLast((session) => !session.closed);
  }

  async open(spec: SessionSpec, revision: number, listener: RemoteSessionListener) {
    const session = new ScriptedSession(spec, revision, listener);
    this.sessions.push(session);
    await this.gate;
    return {
      session: session as unknown as RemoteSession,
      engineIp: "127.0.0.1",
      localPort: 40_999,
    };
  }

  closeSession(session: RemoteSession): void {
    (session as unknown as ScriptedSession).closed = true;
  }

  readonly create: CreateEngine = ({ rooms, media, logger, metrics }) => {
    const limits = { perRoom: 0, perIdentity: 0, perAddress: 0, queueLength: 0 };
    const admission = new Admission(limits, () => performance.now());
    admission.setPlaces(20);
    const transforms = new TransformService(rooms, {
      engine: this,
      logger,
      random: secureRandom,
      schedule,
      admission,
      counters: new TransformCounters(createEngineMetrics(metrics.registry)),
      config: {
        bitrateBps: 500_000,
        lowLayerBitrateBps: 100_000,
        maxFps: 30,
        delayBudgetMs: 250,
        fallbackGraceMs: 20,
      },
      refreshPlaces: () => undefined,
      toEngine: engineSettings,
      createTap: async (room, participant, request) =>
        (await media.of(room)).createTap(participant, request),
    });
    return {
      transforms,
      ready: true,
      degraded: false,
      drain: () => undefined,
      start: async () => undefined,
      close: async () => transforms.close(),
    };
  };
}
