/**
 * One participant's transform while its camera stays the same: the tap at the SFU, the session in
 * the engine, and the state that people see.
 */
import { v7 as uuid } from "uuid";
import type { ActiveSettings } from "../domain/settings.ts";
import type { SessionHost } from "../engine/pool.ts";
import type { Standing } from "../engine/process/session-state.ts";
import type {
  EngineTransform,
  LevelChange,
  ServiceLevel,
  SessionProgress,
} from "../engine/protocol.ts";
import type { RemoteSession, RemoteSessionListener } from "../engine/remote-session.ts";
import { DriftlessError, toError } from "../errors.ts";
import type { TransformTap } from "../media/transform-tap.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Random } from "./random.ts";
import type { ShownVideo, TransformEvents, TransformStatus, TransformTarget } from "./types.ts";

export interface TransformConfig {
  /** Address of the engine's sockets, reachable from the mediasoup worker. */
  engineIp: string;
  /** Ceiling of the generated track. */
  bitrateBps: number;
  maxFps: number;
  /** Within which a complete chunk should be repainted. */
  delayBudgetMs: number;
  /**
   * How long a stalled engine may leave the last generated frame standing before viewers get the
   * original, where that is allowed. Default 3000: a restart is usually over by then.
   */
  fallbackGraceMs?: number;
}

export interface TransformDependencies {
  engine: SessionHost;
  logger: Logger;
  random: Random;
  config: TransformConfig;
  /** Settings in the engine's words. */
  toEngine: (settings: ActiveSettings) => EngineTransform;
  emit: <K extends keyof TransformEvents>(event: K, ...payload: TransformEvents[K]) => void;
  /** The camera or its room is gone: the transform is over. */
  onEnded: (transform: Transform, reason: string) => void;
  /** The engine lost the session for good: it may be set up anew. */
  onLost: (transform: Transform, reason: string) => void;
}

const FALLBACK_GRACE_MS = 3000;
const STATS_INTERVAL_MS = 1000;

export class Transform {
  readonly #deps: TransformDependencies;
  #target: TransformTarget;
  #settings: ActiveSettings;
  #revision: number;
  #appliedRevision = 0;
  #standing: Standing = { state: "starting", cause: "none", reason: "the engine is being asked" };
  #level: ServiceLevel = "full";
  #progress: SessionProgress | null = null;
  #tap: TransformTap | null = null;
  #session: RemoteSession | null = null;
  #active = false;
  #closed = false;
  #graceTimer: NodeJS.Timeout | null = null;
  #lastStatsMs = Number.NEGATIVE_INFINITY;

  constructor(
    deps: TransformDependencies,
    target: TransformTarget,
    settings: ActiveSettings,
    revision: number,
  ) {
    this.#deps = deps;
    this.#target = target;
    this.#settings = settings;
    this.#revision = revision;
  }

  get target(): TransformTarget {
    return this.#target;
  }

  get settings(): ActiveSettings {
    return this.#settings;
  }

  get revision(): number {
    return this.#revision;
  }

  get status(): TransformStatus {
    const progress = this.#progress;
    return {
      targetId: this.#target.id,
      roomId: this.#target.roomId,
      state: this.#standing.state,
      reason: this.#standing.reason,
      level: this.#level,
      settings: this.#settings,
      revision: this.#revision,
      appliedRevision: this.#appliedRevision,
      producerId: this.#closed ? null : (this.#tap?.output.producerId ?? null),
      video: this.#shown(),
      delayMs: progress?.delayMs?.p50 ?? null,
      delayP95Ms: progress?.delayMs?.p95 ?? null,
      fps: progress?.fps ?? 0,
      bitrateBps: progress?.bitrateBps ?? 0,
    };
  }

  /**
   * Sets the way to the engine and back up; frames follow later.
   * @throws DriftlessError when the engine refuses, or what the tap throws; all is undone then
   */
  async open(): Promise<void> {
    const { engine, config, random } = this.#deps;
    this.#enter(this.#standing);
    try {
      const outputSsrc = random.below(1, 2 ** 32);
      const { videoProducerId } = this.#target;
      const request = { videoProducerId, engineIp: config.engineIp, outputSsrc };
      const tap = await this.#target.createTap(request);
      this.#tap = tap;
      tap.on("closed", (reason) => this.#onTapClosed(reason));
      const { session, localPort } = await engine.open(
        this.#sessionSpec(tap, outputSsrc),
        this.#revision,
        this.#listener(),
      );
      if (this.#closed) {
        engine.closeSession(session);
      } else {
        this.#session = session;
      }
      this.#assertOpen();
      await tap.connect(localPort);
      await tap.start();
      this.#assertOpen();
    } catch (error) {
      this.close(toError(error).message);
      throw error;
    }
  }

  /** Changes the settings without a cut. */
  update(target: TransformTarget, settings: ActiveSettings, revision: number): void {
    this.#target = target;
    this.#settings = settings;
    this.#revision = revision;
    this.#session?.setTransform(this.#deps.toEngine(settings), revision);
    this.#deps.emit("state", this.status);
  }

  /** Ends everything and says so; safe to call twice. */
  close(reason: string): void {
    if (this.#closed) {
      return;
    }
    this.#clearGrace();
    if (this.#session !== null) {
      this.#deps.engine.closeSession(this.#session);
    }
    this.#deactivate(reason, true);
    this.#closed = true;
    this.#tap?.close();
    this.#standing = { state: "stopped", cause: "none", reason };
    this.#deps.emit("state", this.status);
  }

  #assertOpen(): void {
    if (this.#closed) {
      throw new DriftlessError("NO_VIDEO", "The camera stopped before its transform had started.");
    }
  }

  #sessionSpec(tap: TransformTap, outputSsrc: number) {
    const { config, random, toEngine } = this.#deps;
    const { cname, ...input } = tap.input;
    return {
      sessionId: uuid(),
      transport: tap.local,
      input,
      output: {
        ssrc: outputSsrc,
        payloadType: tap.output.payloadType,
        codec: input.codec,
        // One CNAME with the original voice: receivers may then keep both in sync.
        cname,
        // Low, so that the first wrap is far away and early losses cannot be mistaken for it.
        sequenceStart: random.below(0, 2 ** 15),
        pictureIdStart: random.below(0, 2 ** 14),
        timestampOffset: random.below(0, 2 ** 32),
        absCaptureTimeId: tap.output.absCaptureTimeId,
      },
      bitrateBps: config.bitrateBps,
      maxFps: config.maxFps,
      delayBudgetMs: config.delayBudgetMs,
      transform: toEngine(this.#settings),
    };
  }

  #listener(): RemoteSessionListener {
    return {
      onState: (standing) => this.#onEngineState(standing),
      onFirstFrame: () => this.#activate(),
      onApplied: (revision, captureTimeMs, complete) => {
        const { id: targetId, roomId } = this.#target;
        this.#appliedRevision = Math.max(this.#appliedRevision, revision);
        const applied = { targetId, roomId, revision, captureTimeMs, complete };
        this.#deps.emit("applied", applied);
      },
      onRefused: (revision, message) =>
        this.#deps.logger.warn({ revision, message }, "the engine refused new settings"),
      onLevel: (change) => this.#onLevel(change),
      onProgress: (progress) => this.#onProgress(progress),
      onSuspended: (reason) => {
        // Nobody listens on the engine's port now: the camera's picture must not go there.
        this.#control("pause");
        this.#level = "full";
        this.#onEngineState({ state: "fallback", cause: "engine", reason });
      },
      onResumed: () => this.#control("start"),
      onLost: (reason) => this.#deps.onLost(this, reason),
    };
  }

  #control(action: "pause" | "start"): void {
    this.#tap?.[action]().catch((error: unknown) => {
      // A tap that closed meanwhile; its own event ends the transform.
      this.#deps.logger.warn({ err: toError(error), action }, "the transform's tap did not obey");
    });
  }

  #onEngineState(standing: Standing): void {
    if (this.#closed || standing.state === "stopped") {
      return;
    }
    this.#enter(standing);
    if (standing.state === "fallback" && standing.cause === "engine") {
      this.#startGrace(standing.reason);
    } else {
      this.#clearGrace();
    }
    if (standing.state === "live" || standing.state === "degraded") {
      this.#activate();
    }
  }

  /** The state follows by itself, in the engine's words; this one says what exactly is given. */
  #onLevel({ level, direction, cause }: LevelChange): void {
    if (this.#closed) {
      return;
    }
    this.#level = level;
    const { id: targetId, roomId } = this.#target;
    this.#deps.emit("level", { targetId, roomId, level, direction, cause });
    this.#deps.emit("state", this.status);
  }

  #enter({ state, cause, reason }: Standing): void {
    this.#standing = { state, cause, reason };
    this.#deps.emit("state", this.status);
  }

  #onProgress(progress: SessionProgress): void {
    this.#progress = progress;
    const nowMs = performance.now();
    if (!this.#closed && nowMs - this.#lastStatsMs >= STATS_INTERVAL_MS) {
      this.#lastStatsMs = nowMs;
      this.#deps.emit("stats", this.status);
    }
  }

  #activate(): void {
    if (this.#active || this.#closed || this.#tap === null) {
      return;
    }
    this.#active = true;
    const { id: targetId, roomId } = this.#target;
    this.#deps.emit("active", { targetId, roomId, producerId: this.#tap.output.producerId });
  }

  #deactivate(reason: string, ended: boolean): void {
    if (this.#active) {
      this.#active = false;
      const { id: targetId, roomId } = this.#target;
      this.#deps.emit("inactive", { targetId, roomId, reason, ended });
    }
  }

  /** Only who allows the original is shown it; others keep the last generated frame. */
  #startGrace(reason: string): void {
    if (!this.#target.allowOriginalFallback || this.#graceTimer !== null) {
      return;
    }
    this.#graceTimer = setTimeout(() => {
      this.#graceTimer = null;
      this.#deactivate(reason, false);
      this.#deps.emit("state", this.status);
    }, this.#deps.config.fallbackGraceMs ?? FALLBACK_GRACE_MS);
  }

  #clearGrace(): void {
    if (this.#graceTimer !== null) {
      clearTimeout(this.#graceTimer);
      this.#graceTimer = null;
    }
  }

  #onTapClosed(reason: string): void {
    if (!this.#closed) {
      this.close(reason);
      this.#deps.onEnded(this, reason);
    }
  }

  #shown(): ShownVideo {
    if (this.#active) {
      return "generated";
    }
    return this.#target.allowOriginalFallback ? "original" : "none";
  }
}
