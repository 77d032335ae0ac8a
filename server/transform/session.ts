/**
 * One attempt to repaint one camera: the tap at the SFU, the session in the engine, and what people
 * are told about it. It ends with the camera or when the engine loses it; the reconciler decides
 * what comes after.
 */
import { v7 as uuid } from "uuid";
import type { Fallback } from "../domain/fallback.ts";
import type { Wish } from "../domain/participant.ts";
import type { Schedule } from "../domain/schedule.ts";
import type { ActiveSettings } from "../domain/settings.ts";
import type { ServiceLevel, TransformApplied, TransformState } from "../domain/transform-state.ts";
import type { SessionHost } from "../engine/pool.ts";
import type { EngineTransform, LevelChange, SessionProgress } from "../engine/protocol.ts";
import type {
  RemoteSession,
  RemoteSessionListener,
  SessionSpec,
} from "../engine/remote-session.ts";
import { DriftlessError, toError } from "../errors.ts";
import type { TransformTap, TransformTapOptions } from "../media/transform-tap.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Random } from "./random.ts";

export interface TransformConfig {
  /** Ceiling of the generated track. */
  bitrateBps: number;
  /** Of its lower layer, for viewers with little bandwidth; 0: it has none. */
  lowLayerBitrateBps: number;
  maxFps: number;
  /** Within which a complete chunk should be repainted. */
  delayBudgetMs: number;
  /**
   * How long a stalled engine may leave the last generated frame standing. Default 3000: a restart
   * is usually over by then.
   */
  fallbackGraceMs?: number;
}

export interface SessionDeps {
  engine: Pick<SessionHost, "open" | "closeSession">;
  logger: Logger;
  random: Random;
  schedule: Schedule;
  config: TransformConfig;
  /** A wish in the engine's words. */
  toEngine: (settings: ActiveSettings, wish: Wish) => EngineTransform;
  createTap: (options: TransformTapOptions) => Promise<TransformTap>;
  /** Whom the engine's crashes are laid at, whatever sessions he has one after another. */
  owner: string;
}

/** What the owner is told. Nothing comes after close(). */
export interface SessionListener {
  /** State, reason, level or figures changed. */
  onStatus(): void;
  onPicture(picture: "fresh" | "stalled"): void;
  onApplied(applied: TransformApplied): void;
  onLevel(change: LevelChange): void;
  /** The engine does not take the settings of this revision; those before stay. */
  onRefused(revision: number, message: string): void;
  /**
   * It is over: the camera or the room's media is gone, or the engine lost it; `poison`: it crashed
   * the engine again and again, and is to be left alone.
   */
  onOver(reason: string, cause: "camera" | "engine" | "poison"): void;
}

/** As people are told it. */
export interface SessionStatus {
  state: TransformState;
  reason: string;
  level: ServiceLevel;
  delayMs: number | null;
  delayP95Ms: number | null;
  fps: number;
  bitrateBps: number;
}

const FALLBACK_GRACE_MS = 3000;

export class TransformSession {
  /** The camera that it repaints. */
  readonly cameraId: string;
  readonly #deps: SessionDeps;
  readonly #listener: SessionListener;
  #wish: Wish;
  #settings: ActiveSettings;
  #state: TransformState = "starting";
  #reason = "the engine is being asked";
  #level: ServiceLevel = "full";
  #progress: SessionProgress | null = null;
  #tap: TransformTap | null = null;
  #session: RemoteSession | null = null;
  #picture: "fresh" | "stalled" | null = null;
  #cancelGrace: (() => void) | null = null;
  readonly #opening = new AbortController();
  #closed = false;

  constructor(
    deps: SessionDeps,
    cameraId: string,
    wish: Wish,
    settings: ActiveSettings,
    listener: SessionListener,
  ) {
    this.#deps = deps;
    this.cameraId = cameraId;
    this.#wish = wish;
    this.#settings = settings;
    this.#listener = listener;
  }

  /** Of the settings that the engine was asked for last. */
  get revision(): number {
    return this.#wish.revision;
  }

  get status(): SessionStatus {
    const progress = this.#progress;
    return {
      state: this.#state,
      reason: this.#reason,
      level: this.#level,
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
    const { engine, config, random, createTap, owner } = this.#deps;
    try {
      const outputSsrc = random.below(1, 2 ** 32);
      const lowSsrc = config.lowLayerBitrateBps > 0 ? (outputSsrc % (2 ** 32 - 1)) + 1 : undefined;
      const ssrcs = lowSsrc === undefined ? { outputSsrc } : { outputSsrc, lowSsrc };
      const tap = await createTap({ originalProducerId: this.cameraId, ...ssrcs });
      this.#tap = tap;
      if (this.#closed) tap.close();
      this.#assertOpen();
      tap.on("closed", (reason) => this.#over(reason, "camera"));
      this.#assertOpen();
      const { session, engineIp, localPort } = await engine.open(
        this.#spec(tap, outputSsrc, lowSsrc),
        this.#wish.revision,
        this.#engineListener(),
        { signal: this.#opening.signal, owner },
      );
      if (this.#closed) engine.closeSession(session);
      else this.#session = session;
      this.#assertOpen();
      await tap.connect({ ip: engineIp, port: localPort });
      await tap.start();
      this.#assertOpen();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Changes the settings without a cut. */
  update(wish: Wish, settings: ActiveSettings): void {
    const orderChanged = wish.fallback !== this.#wish.fallback;
    this.#wish = wish;
    this.#settings = settings;
    this.#session?.setTransform(this.#deps.toEngine(settings, wish), wish.revision);
    if (orderChanged && this.#state === "fallback") this.#startGrace();
  }

  /** Ends the engine's part; the last frames may still stand on their way to viewers. */
  closeEngine(): void {
    this.#clearGrace();
    if (this.#session !== null) this.#deps.engine.closeSession(this.#session);
    this.#session = null;
    this.#closed = true;
    this.#opening.abort(new DriftlessError("NO_VIDEO", "It was called off while it was opened."));
  }

  /** Ends everything; safe to call twice. */
  close(): void {
    this.closeEngine();
    this.#tap?.close();
  }

  #assertOpen(): void {
    if (this.#closed) {
      throw new DriftlessError("NO_VIDEO", "The camera stopped before its transform had started.");
    }
  }

  #spec(tap: TransformTap, outputSsrc: number, lowSsrc: number | undefined): SessionSpec {
    const { config, random, toEngine } = this.#deps;
    const { cname, ...input } = tap.input;
    return {
      sessionId: uuid(),
      transport: tap.local,
      input,
      output: {
        ssrc: outputSsrc,
        payloadType: tap.output.payloadType,
        codec: tap.output.codec,
        // One CNAME with the original voice: receivers may then keep both in sync.
        cname,
        // Low, so that the first wrap is far away and early losses cannot be mistaken for it.
        sequenceStart: random.below(0, 2 ** 15),
        pictureIdStart: random.below(0, 2 ** 14),
        timestampOffset: random.below(0, 2 ** 32),
        absCaptureTimeId: tap.output.absCaptureTimeId,
        low:
          lowSsrc === undefined
            ? null
            : {
                ssrc: lowSsrc,
                bitrateBps: config.lowLayerBitrateBps,
                sequenceStart: random.below(0, 2 ** 15),
                pictureIdStart: random.below(0, 2 ** 14),
              },
      },
      bitrateBps: config.bitrateBps,
      maxFps: config.maxFps,
      delayBudgetMs: config.delayBudgetMs,
      transform: toEngine(this.#settings, this.#wish),
    };
  }

  #engineListener(): RemoteSessionListener {
    const whileOpen =
      <A extends unknown[]>(handle: (...args: A) => void) =>
      (...args: A): void => {
        if (!this.#closed) handle(...args);
      };
    return {
      onState: whileOpen((standing) => {
        if (standing.state === "stopped") return;
        this.#enter(standing.state, standing.reason);
        const stalled = standing.state === "fallback" && standing.cause === "engine";
        if (stalled) this.#startGrace();
        else this.#clearGrace();
        if (standing.state === "live" || standing.state === "degraded") this.#show("fresh");
      }),
      onFirstFrame: whileOpen(() => this.#show("fresh")),
      onApplied: whileOpen((revision, captureTimeMs, complete) =>
        this.#listener.onApplied({ revision, captureTimeMs, complete }),
      ),
      // The state follows by itself, in the engine's words; this one says what exactly is given.
      onLevel: whileOpen((change) => {
        this.#level = change.level;
        this.#listener.onLevel(change);
        this.#listener.onStatus();
      }),
      onProgress: whileOpen((progress) => {
        this.#progress = progress;
        this.#listener.onStatus();
      }),
      onSuspended: whileOpen((reason) => {
        // Nobody listens on the engine's port now: the camera's picture must not go there.
        this.#control("pause");
        this.#level = "full";
        this.#enter("fallback", reason);
        this.#startGrace();
      }),
      onResumed: whileOpen(() => this.#control("start")),
      onRefused: whileOpen((revision, message) => this.#listener.onRefused(revision, message)),
      onLost: whileOpen((reason, code) => {
        if (code === "REFUSED") this.#listener.onRefused(this.#wish.revision, reason);
        this.#over(reason, code === "POISON" ? "poison" : "engine");
      }),
    };
  }

  #control(action: "pause" | "start"): void {
    this.#tap?.[action]().catch((error: unknown) => {
      // A tap that closed meanwhile; its own event ends the session.
      this.#deps.logger.warn({ err: toError(error), action }, "the transform's tap did not obey");
    });
  }

  #over(reason: string, cause: "camera" | "engine" | "poison"): void {
    if (this.#closed) return;
    this.close();
    this.#listener.onOver(reason, cause);
  }

  #enter(state: TransformState, reason: string): void {
    this.#state = state;
    this.#reason = reason;
    this.#listener.onStatus();
  }

  #show(picture: "fresh" | "stalled"): void {
    if (this.#picture === picture) return;
    this.#picture = picture;
    this.#listener.onPicture(picture);
  }

  /** The last frame stands for a while, where the participant wants it to. */
  #startGrace(): void {
    if (this.#picture !== "fresh" || this.#cancelGrace !== null) return;
    const { config, schedule } = this.#deps;
    const graceMs = config.fallbackGraceMs ?? FALLBACK_GRACE_MS;
    this.#cancelGrace = schedule(lastFrameFirst(this.#wish.fallback) ? graceMs : 0, () => {
      this.#cancelGrace = null;
      this.#show("stalled");
      this.#listener.onStatus();
    });
  }

  #clearGrace(): void {
    this.#cancelGrace?.();
    this.#cancelGrace = null;
  }
}

/** A blur is the engine's work: without it the last frame is what is left of the engine's pictures. */
function lastFrameFirst(order: readonly Fallback[]): boolean {
  return order[0] === "lastFrame" || order[0] === "blur";
}
