/**
 * All transforms of a server: starts, changes and stops them on behalf of signalling and REST, and
 * tells rooms by events what viewers should see. Calls for one participant run one after another.
 */

import type { ActiveSettings, TransformSettings } from "../domain/settings.ts";
import type { EngineMetrics } from "../engine/metrics.ts";
import type { SessionHost } from "../engine/pool.ts";
import type { EngineTransform } from "../engine/protocol.ts";
import { DriftlessError, toError } from "../errors.ts";
import { SafeEmitter } from "../telemetry/events.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { type Random, secureRandom } from "./random.ts";
import { Transform, type TransformConfig, type TransformDependencies } from "./transform.ts";
import type {
  ServiceLevel,
  TransformEvents,
  TransformState,
  TransformStatus,
  TransformTarget,
} from "./types.ts";

export interface TransformManagerOptions {
  engine: SessionHost;
  logger: Logger;
  metrics: Metrics;
  engineMetrics: EngineMetrics;
  config: TransformConfig;
  random?: Random;
  /** How settings reach the engine; media tests ask for pass-through instead. */
  toEngine?: (settings: ActiveSettings) => EngineTransform;
}

/** Attempts to set a lost session up anew, and the wait before each. */
const REBUILD_ATTEMPTS = 3;
const REBUILD_WAIT_MS = 1000;

export class TransformManager extends SafeEmitter<TransformEvents> {
  readonly #options: TransformManagerOptions;
  readonly #deps: TransformDependencies;
  readonly #transforms = new Map<string, Transform>();
  readonly #states = new Map<string, TransformState>();
  readonly #levels = new Map<string, ServiceLevel>();
  /** Tail of each participant's queue of calls. */
  readonly #queues = new Map<string, Promise<unknown>>();
  readonly #lostCounts = new Map<string, number>();
  /** One counter for all: a participant's revisions then grow across "off" as well. */
  #lastRevision = 0;
  #closed = false;

  constructor(options: TransformManagerOptions) {
    super(options.logger, options.metrics);
    this.#options = options;
    this.#deps = {
      engine: options.engine,
      logger: options.logger,
      random: options.random ?? secureRandom,
      config: options.config,
      toEngine: options.toEngine ?? ((settings) => settings),
      emit: (event, ...payload) => this.emit(event, ...payload),
      onEnded: (transform, reason) => this.#onEnded(transform, reason),
      onLost: (transform, reason) => this.#onLost(transform, reason),
    };
    this.on("state", (status) => {
      this.#countState(status);
      this.#countLevel(status);
    });
    this.on("level", ({ level, direction, cause }) =>
      options.engineMetrics.transformLevelChanges.inc({ level, direction, cause }),
    );
  }

  /**
   * Starts the participant's transform or changes it; "off" stops it. A target with another video
   * producer than last time moves the transform to the new camera.
   * @returns the revision that "applied" will name once the change is visible
   * @throws DriftlessError ENGINE_UNAVAILABLE, SHUTTING_DOWN, or what the target's createTap throws
   */
  set(target: TransformTarget, settings: TransformSettings): Promise<{ revision: number }> {
    return this.#enqueue(target.id, async () => {
      const current = this.#transforms.get(target.id);
      if (settings.mode === "off") {
        this.#remove(target.id, "switched off");
        return { revision: current?.revision ?? 0 };
      }
      if (this.#closed) {
        throw new DriftlessError("SHUTTING_DOWN", "The server is closing.");
      }
      this.#lastRevision += 1;
      const revision = this.#lastRevision;
      if (current !== undefined && current.target.videoProducerId === target.videoProducerId) {
        current.update(target, settings, revision);
        return { revision };
      }
      this.#remove(target.id, "the camera was replaced");
      await this.#open(new Transform(this.#deps, target, settings, revision));
      return { revision };
    });
  }

  /** Stops the participant's transform, if there is one. */
  stop(targetId: string, reason = "switched off"): Promise<void> {
    return this.#enqueue(targetId, async () => this.#remove(targetId, reason));
  }

  /** Where a participant's transform stands; undefined when there is none. */
  status(targetId: string): TransformStatus | undefined {
    return this.#transforms.get(targetId)?.status;
  }

  /** Stops all transforms and accepts no more. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#transforms.keys()].map((id) => this.stop(id, "the server closes")));
  }

  async #open(transform: Transform): Promise<void> {
    const { id } = transform.target;
    this.#transforms.set(id, transform);
    try {
      await transform.open();
    } catch (error) {
      this.#forget(transform);
      throw error;
    }
  }

  #remove(targetId: string, reason: string): void {
    const transform = this.#transforms.get(targetId);
    if (transform !== undefined) {
      transform.close(reason);
      this.#forget(transform);
    }
  }

  #forget(transform: Transform): void {
    const { id } = transform.target;
    if (this.#transforms.get(id) === transform) {
      this.#transforms.delete(id);
      this.#lostCounts.delete(id);
    }
  }

  #onEnded(transform: Transform, reason: string): void {
    this.#options.logger.info({ targetId: transform.target.id, reason }, "a transform ended");
    this.#forget(transform);
  }

  /** Sets the session up anew with a new tap; viewers are moved to its producer by "active". */
  #onLost(transform: Transform, reason: string): void {
    const { target } = transform;
    const losses = (this.#lostCounts.get(target.id) ?? 0) + 1;
    this.#options.logger.warn({ targetId: target.id, reason, losses }, "a session was lost");
    this.#enqueue(target.id, async () => {
      if (this.#transforms.get(target.id) !== transform) {
        return;
      }
      this.#remove(target.id, reason);
      if (losses > REBUILD_ATTEMPTS || this.#closed) {
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, REBUILD_WAIT_MS));
      const { settings, revision } = transform;
      await this.#open(new Transform(this.#deps, target, settings, revision));
      this.#lostCounts.set(target.id, losses);
    }).catch((error: unknown) => {
      this.#options.logger.error(
        { err: toError(error), targetId: target.id },
        "a lost session could not be set up anew",
      );
    });
  }

  #enqueue<T>(targetId: string, work: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(targetId) ?? Promise.resolve();
    // A failed call is its caller's concern, not that of the next one in line.
    const result = before.then(work, work);
    const tail = result
      .catch(() => undefined)
      .finally(() => {
        if (this.#queues.get(targetId) === tail) {
          this.#queues.delete(targetId);
        }
      });
    this.#queues.set(targetId, tail);
    return result;
  }

  #countState({ targetId, state }: TransformStatus): void {
    const { transforms, transformStateChanges } = this.#options.engineMetrics;
    const before = this.#states.get(targetId);
    if (before === state) {
      return;
    }
    if (before !== undefined) {
      transforms.dec({ state: before });
    }
    if (state === "stopped") {
      this.#states.delete(targetId);
    } else {
      this.#states.set(targetId, state);
      transforms.inc({ state });
    }
    transformStateChanges.inc({ state });
  }

  #countLevel({ targetId, state, level }: TransformStatus): void {
    const { transformLevels } = this.#options.engineMetrics;
    const before = this.#levels.get(targetId);
    if (before !== undefined) {
      transformLevels.dec({ level: before });
    }
    if (state === "stopped") {
      this.#levels.delete(targetId);
    } else {
      this.#levels.set(targetId, level);
      transformLevels.inc({ level });
    }
  }
}
