/** Between the look as the controls describe it and as the server takes it. */
import type { ActiveSettings, SceneName, TransformSettingsInput } from "../protocol.ts";
import type { Behind, Draft } from "../state.ts";

/** What a restyle may carry for the place of a hidden room. */
interface BehindSettings {
  scene?: SceneName;
  blur?: boolean;
  color?: string;
}

/** The look that these settings describe. */
export function draftOf(settings: ActiveSettings): Draft {
  const { mode, prompt, strength, steps, seed } = settings;
  const common = { on: true, prompt, strength, steps, seed };
  if (mode === "restyle") {
    return { ...common, kind: "restyle", scene: null, behind: behindOf(settings as object) };
  }
  const kind = settings.blur ? "blur" : "background";
  return { ...common, kind, scene: settings.scene ?? null, behind: null };
}

/**
 * The settings for a look.
 * @param roomHidden "hide my room" is on: a restyle then says what is painted behind the person
 */
export function settingsOf(
  { on, kind, scene, behind, ...common }: Draft,
  roomHidden: boolean,
): TransformSettingsInput {
  if (!on) return { mode: "off" };
  if (kind === "restyle") {
    const instead = roomHidden && behind !== null ? behindSettings(behind) : {};
    return { mode: "restyle", ...common, ...instead };
  }
  const chosen = scene === null ? {} : { scene };
  return { mode: "background", ...common, ...chosen, blur: kind === "blur" };
}

function behindOf({ scene, blur, color }: BehindSettings): Behind | null {
  if (color !== undefined) return { kind: "color", color };
  if (scene !== undefined) return { kind: "scene", scene };
  return blur === true ? { kind: "blur" } : null;
}

function behindSettings(behind: Behind): BehindSettings {
  if (behind.kind === "scene") return { scene: behind.scene };
  return behind.kind === "blur" ? { blur: true } : { color: behind.color };
}
