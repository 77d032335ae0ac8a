/** A participant's wish in the engine's words. */
import type { Wish } from "../domain/participant.ts";
import type { ActiveSettings } from "../domain/settings.ts";
import type { EngineTransform } from "../engine/protocol.ts";

export function engineSettings(settings: ActiveSettings, wish: Wish): EngineTransform {
  void wish;
  return settings;
}
