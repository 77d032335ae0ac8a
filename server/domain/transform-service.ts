/** What rooms need of the transform; TransformManager provides it. */

import type { TransformEvents, TransformStatus, TransformTarget } from "../transform/types.ts";
import type { TransformSettings } from "./settings.ts";

export interface TransformService {
  /** Starts, changes or (mode off) stops; resolves when accepted, not when visible. */
  set(target: TransformTarget, settings: TransformSettings): Promise<{ revision: number }>;
  stop(targetId: string): Promise<void> | void;
  status(targetId: string): TransformStatus | undefined;
  on<K extends keyof TransformEvents>(
    event: K,
    listener: (...payload: TransformEvents[K]) => void,
  ): unknown;
}
