/** For a server that runs as a plain SFU (engine.enabled is false). */
import { DriftlessError } from "../errors.ts";
import type { TransformService } from "./transform-service.ts";

export class NoTransforms implements TransformService {
  async set(): Promise<never> {
    throw new DriftlessError(
      "ENGINE_UNAVAILABLE",
      "This server repaints nothing: engine.enabled is false in its configuration.",
    );
  }

  stop(): void {
    // Nothing ever started.
  }

  status(): undefined {
    return undefined;
  }

  on(): void {
    // There are no events without transforms.
  }
}
