/** Metrics of transforms, kept right across whatever order of states comes. */
import type { ServiceLevel, TransformState } from "../domain/transform-state.ts";
import type { EngineMetrics } from "../engine/metrics.ts";
import type { LevelChange } from "../engine/protocol.ts";

interface Counted {
  state: TransformState;
  level: ServiceLevel;
}

export class TransformCounters {
  readonly #metrics: EngineMetrics;
  readonly #counted = new Map<string, Counted>();

  constructor(metrics: EngineMetrics) {
    this.#metrics = metrics;
  }

  /** @param status undefined: there is no transform any more */
  onStatus(participantId: string, status: Counted | undefined): void {
    const { transforms, transformLevels, transformStateChanges } = this.#metrics;
    const before = this.#counted.get(participantId);
    if (before !== undefined) {
      transforms.dec({ state: before.state });
      transformLevels.dec({ level: before.level });
    }
    if (status === undefined) {
      this.#counted.delete(participantId);
      if (before !== undefined) transformStateChanges.inc({ state: "stopped" });
      return;
    }
    const { state, level } = status;
    this.#counted.set(participantId, { state, level });
    transforms.inc({ state });
    transformLevels.inc({ level });
    if (before?.state !== state) transformStateChanges.inc({ state });
  }

  onLevelChange({ level, direction, cause }: LevelChange): void {
    this.#metrics.transformLevelChanges.inc({ level, direction, cause });
  }
}
