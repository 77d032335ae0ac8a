import type { JSX } from "preact";
import type { FallbackOrder, SceneName } from "../protocol.ts";
import type { Behind, Draft } from "../state.ts";

interface HideRoomProps {
  hidden: boolean;
  onChange(hidden: boolean): void;
}

/** The switch that keeps the room to oneself, and what it means. */
export function HideRoom({ hidden, onChange }: HideRoomProps): JSX.Element {
  return (
    <label class="check">
      <input
        type="checkbox"
        name="hideOriginal"
        checked={hidden}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <span>
        Hide my room
        <span class="hint">
          Nobody sees a pixel of your room. With a look you are cut out first and painted before a
          scene, a blur or a flat colour; without one you are shown as a card with your initials.
        </span>
      </span>
    </label>
  );
}

const SCENES: readonly SceneName[] = [
  "gradient",
  "beach",
  "forest",
  "city",
  "mountains",
  "library",
  "space",
  "aurora",
  "office",
  "garden",
  "underwater",
];
const FIRST_COLOR = "#3a4a52";

interface BehindSelectProps {
  draft: Draft;
  onChange(behind: Behind | null): void;
}

/** What a restyled person stands before while the room is hidden. */
export function BehindSelect({ draft, onChange }: BehindSelectProps): JSX.Element {
  const { behind } = draft;
  const choose = (value: string): void => {
    if (value === "") onChange(null);
    else if (value === "blur") onChange({ kind: "blur" });
    else if (value === "color") onChange({ kind: "color", color: FIRST_COLOR });
    else onChange({ kind: "scene", scene: value as SceneName });
  };
  return (
    <div class="behind">
      <label>
        Behind you
        <select
          name="behind"
          value={behind === null ? "" : behind.kind === "scene" ? behind.scene : behind.kind}
          onChange={(event) => choose(event.currentTarget.value)}
        >
          <option value="">A plain colour</option>
          <option value="color">A colour of my own</option>
          <option value="blur">My room, blurred beyond reading</option>
          {SCENES.map((scene) => (
            <option key={scene} value={scene}>
              {scene.charAt(0).toUpperCase() + scene.slice(1)}
            </option>
          ))}
        </select>
      </label>
      {behind?.kind === "color" && (
        <label>
          Colour
          <input
            type="color"
            value={behind.color}
            onChange={(event) => onChange({ kind: "color", color: event.currentTarget.value })}
          />
        </label>
      )}
    </div>
  );
}

/** Sensible orders, named by what the others see. */
const FALLBACKS: readonly { name: string; order: FallbackOrder }[] = [
  { name: "last picture, then camera", order: ["lastFrame", "original"] },
  { name: "last picture, then initials", order: ["lastFrame", "avatar"] },
  { name: "blurred camera", order: ["blur", "avatar"] },
  { name: "camera", order: ["original"] },
  { name: "initials", order: ["avatar"] },
];

interface FallbackSelectProps {
  order: FallbackOrder;
  hidden: boolean;
  onChange(order: FallbackOrder): void;
}

/** What the others see while the picture cannot be repainted. */
export function FallbackSelect({ order, hidden, onChange }: FallbackSelectProps): JSX.Element {
  const current = FALLBACKS.findIndex((each) => each.order.join() === order.join());
  return (
    <label>
      If the repainting stops, show
      <select
        name="fallback"
        value={String(Math.max(0, current))}
        onChange={(event) => {
          const chosen = FALLBACKS[Number(event.currentTarget.value)];
          if (chosen !== undefined) onChange(chosen.order);
        }}
      >
        {FALLBACKS.map(({ name }, index) => (
          <option key={name} value={String(index)}>
            {name}
          </option>
        ))}
      </select>
      {hidden && order.includes("original") && (
        <span class="hint">While your room is hidden, your initials stand in for the camera.</span>
      )}
    </label>
  );
}
