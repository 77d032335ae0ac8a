import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Preset } from "../protocol.ts";
import type { Draft } from "../state.ts";
import { suggest } from "./suggestions.ts";

interface LookPanelProps {
  draft: Draft;
  presets: readonly Preset[];
  /** Words to try, by kind. */
  suggestions: { restyle: readonly string[]; background: readonly string[] };
  promptMaxChars: number;
  /** A sentence in place of the controls' effect, where the person may not change the look. */
  locked: string | null;
  /** Called when a control is released: sends the look to the server. */
  onApply(draft: Draft): void;
}

/** Twice what the model learnt. */
const MAX_STRENGTH = 2;
const MAX_STEPS = 4;
const MAX_SEED = 0xffffffff;

const KINDS = [
  ["restyle", "Restyle"],
  ["background", "Background"],
  ["blur", "Blur"],
] as const;

/** The controls of the own look: switch, kind, styles, words, strength, and the finer settings. */
export function LookPanel(props: LookPanelProps): JSX.Element {
  const { draft, promptMaxChars, locked, onApply } = props;
  const presets = props.presets.filter(({ mode }) => mode === draft.kind);
  const [prompt, setPrompt] = useState(draft.prompt);
  const [strength, setStrength] = useState(draft.strength);
  useEffect(() => setPrompt(draft.prompt), [draft.prompt]);
  useEffect(() => setStrength(draft.strength), [draft.strength]);

  const words = prompt.trim();
  const changed = words !== draft.prompt;
  const choose = (preset: Preset): void =>
    onApply({ ...draft, on: true, ...presetChoice(preset, draft) });
  const toggle = (): void => {
    const first = presets[0];
    if (draft.on) onApply({ ...draft, on: false });
    else if (draft.kind === "blur") onApply({ ...draft, on: true });
    else if (words !== "") applyWords();
    else if (first !== undefined) choose(first);
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    if (words !== "") applyWords();
  };
  /** Other words may mean another scene than the one that was chosen by name. */
  const applyWords = (next = words): void => {
    const scene = next === draft.prompt ? draft.scene : null;
    onApply({ ...draft, on: true, scene, prompt: next, strength });
  };
  const turnTo = (kind: Draft["kind"]): void => {
    if (kind === draft.kind) return;
    const next: Draft = { ...draft, kind, scene: null };
    const first = props.presets.find(({ mode }) => mode === kind);
    if (kind === "blur" || !draft.on || first === undefined) onApply(next);
    else onApply({ ...next, ...presetChoice(first, draft) });
  };

  return (
    <section class="look" aria-labelledby="look-title">
      <header class="look-head">
        <h2 id="look-title">Your look</h2>
        <button
          type="button"
          role="switch"
          class="switch"
          aria-checked={draft.on}
          aria-label="Repaint my camera"
          disabled={
            locked !== null || (draft.kind !== "blur" && words === "" && presets.length === 0)
          }
          onClick={toggle}
        >
          <span class="knob" />
        </button>
      </header>
      {locked !== null && <p class="hint">{locked}</p>}
      <fieldset disabled={locked !== null}>
        <legend class="visually-hidden">Look</legend>
        <div class="kinds" role="radiogroup" aria-label="Kind of look">
          {KINDS.map(([kind, name]) => (
            <label key={kind} class="kind">
              <input
                type="radio"
                name="kind"
                checked={draft.kind === kind}
                onChange={() => turnTo(kind)}
              />
              <span>{name}</span>
            </label>
          ))}
        </div>
        {draft.kind === "blur" ? (
          <p class="hint">You stay sharp; nothing in the room behind you can be read.</p>
        ) : (
          <>
            <fieldset class="presets">
              <legend class="visually-hidden">Styles</legend>
              {presets.map((preset) => (
                <button
                  key={preset.id}
                  type="button"
                  class="preset"
                  aria-pressed={draft.on && draft.prompt === preset.prompt}
                  title={preset.prompt}
                  onClick={() => choose(preset)}
                >
                  {preset.thumbnail !== undefined && (
                    <img
                      src={`/${preset.thumbnail}`}
                      alt=""
                      width={96}
                      height={54}
                      loading="lazy"
                    />
                  )}
                  <span>{preset.name}</span>
                </button>
              ))}
            </fieldset>
            <form class="prompt" onSubmit={submit}>
              <label for="prompt">
                {draft.kind === "restyle" ? "Describe the picture" : "Describe what is behind you"}
              </label>
              <textarea
                id="prompt"
                rows={3}
                maxLength={promptMaxChars}
                value={prompt}
                placeholder={
                  draft.kind === "restyle"
                    ? "for example: watercolour painting on paper"
                    : "for example: watercolour beach at sunset"
                }
                onInput={(event) =>
                  setPrompt(event.currentTarget.value.replace(/[\r\n\t]+/gu, " "))
                }
                onKeyDown={(event) => {
                  // A prompt is one line: Enter sends it.
                  if (event.key === "Enter" && !event.isComposing) submit(event);
                }}
              />
              <div class="prompt-foot">
                <span class="faint">
                  {prompt.length}/{promptMaxChars}
                </span>
                <button type="submit" class="button small" disabled={words === "" || !changed}>
                  {draft.on ? "Apply" : "Apply and turn on"}
                </button>
              </div>
              <ul class="suggestions" aria-label="Words to try">
                {suggest(props.suggestions[draft.kind], prompt).map((each) => (
                  <li key={each}>
                    <button type="button" class="suggestion" onClick={() => applyWords(each)}>
                      {each}
                    </button>
                  </li>
                ))}
              </ul>
            </form>
            <Slider
              label="Strength"
              low={draft.kind === "restyle" ? "camera" : "as drawn"}
              value={strength}
              onInput={setStrength}
              onRelease={(value) =>
                draft.strength !== value && onApply({ ...draft, strength: value })
              }
            />
            <details class="advanced">
              <summary>Advanced</summary>
              <label for="steps">
                Denoising steps
                <select
                  id="steps"
                  value={String(draft.steps)}
                  onChange={(event) =>
                    onApply({ ...draft, steps: Number(event.currentTarget.value) })
                  }
                >
                  {Array.from({ length: MAX_STEPS }, (_, index) => index + 1).map((count) => (
                    <option key={count} value={String(count)}>
                      {count === 1 ? "1 (fastest)" : String(count)}
                    </option>
                  ))}
                </select>
              </label>
              <p class="hint">Each step takes more computing time and adds delay.</p>
              <label for="seed">
                Seed
                <input
                  id="seed"
                  type="number"
                  min={0}
                  max={MAX_SEED}
                  step={1}
                  value={draft.seed}
                  onChange={(event) => onApply({ ...draft, seed: seedFrom(event.currentTarget) })}
                />
              </label>
            </details>
          </>
        )}
      </fieldset>
    </section>
  );
}

interface SliderProps {
  label: string;
  /** What no strength at all leaves standing. */
  low: string;
  value: number;
  onInput(value: number): void;
  onRelease(value: number): void;
}

function Slider({ label, low, value, onInput, onRelease }: SliderProps): JSX.Element {
  return (
    <div class="slider">
      <label for="strength">
        {label}
        <output for="strength">{Math.round(value * 100)} %</output>
      </label>
      <input
        id="strength"
        type="range"
        min={0}
        max={MAX_STRENGTH}
        step={0.05}
        value={value}
        style={{ "--fill": `${(value / MAX_STRENGTH) * 100}%` }}
        onInput={(event) => onInput(Number(event.currentTarget.value))}
        onChange={(event) => onRelease(Number(event.currentTarget.value))}
      />
      <div class="slider-ends faint">
        <span>{low}</span>
        <span>repainted</span>
        <span>exaggerated</span>
      </div>
    </div>
  );
}

/** What a preset changes in a draft. */
function presetChoice(preset: Preset, draft: Draft) {
  return {
    scene: preset.scene ?? null,
    prompt: preset.prompt,
    strength: preset.strength ?? draft.strength,
    steps: preset.steps ?? draft.steps,
    seed: preset.seed ?? draft.seed,
  };
}

/** A whole number in range, whatever was typed. */
function seedFrom(input: HTMLInputElement): number {
  const value = Math.trunc(input.valueAsNumber);
  const seed = Number.isFinite(value) ? Math.min(Math.max(value, 0), MAX_SEED) : 0;
  input.value = String(seed);
  return seed;
}
