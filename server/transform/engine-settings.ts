/** A participant's wish in the engine's words. */
import type { Fallback } from "../domain/fallback.ts";
import type { Wish } from "../domain/participant.ts";
import type { ActiveSettings } from "../domain/settings.ts";
import type { EngineTransform } from "../engine/protocol.ts";

export function engineSettings(settings: ActiveSettings, wish: Wish): EngineTransform {
  if (settings.mode === "background") return settings;
  const { scene, blur, color, ...restyle } = settings;
  return {
    ...restyle,
    // What is behind the person matters only where the person is cut out.
    ...(wish.hideRoom ? { hideRoom: true, scene, blur, color } : {}),
    // Of a hidden room a blur shows nothing, and a picture of before would never be replaced.
    onOverload: wish.hideRoom || blursBeforeHolding(wish.fallback) ? "blur" : "hold",
  };
}

/** Whether viewers should rather see the camera blurred than the last frame standing. */
function blursBeforeHolding(order: readonly Fallback[]): boolean {
  const blur = order.indexOf("blur");
  const lastFrame = order.indexOf("lastFrame");
  return blur >= 0 && (lastFrame < 0 || blur < lastFrame);
}
