/** Between the look as the controls describe it and as the server takes it. */
import type { ActiveSettings, TransformSettingsInput } from "../protocol.ts";
import type { Draft } from "../state.ts";

export function draftOf(settings: ActiveSettings): Draft {
  const { mode, prompt, strength, steps, seed } = settings;
  const common = { on: true, prompt, strength, steps, seed };
  if (mode === "restyle") return { ...common, kind: "restyle", scene: null };
  return { ...common, kind: settings.blur ? "blur" : "background", scene: settings.scene ?? null };
}

export function settingsOf({ on, kind, scene, ...common }: Draft): TransformSettingsInput {
  if (!on) return { mode: "off" };
  if (kind === "restyle") return { mode: "restyle", ...common };
  const chosen = scene === null ? {} : { scene };
  return { mode: "background", ...common, ...chosen, blur: kind === "blur" };
}
