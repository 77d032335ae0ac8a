import type { JSX } from "preact";

/** The few symbols of the page, drawn as strokes of the text's colour. */
const PATHS = {
  camera:
    "M3 7.5A1.5 1.5 0 0 1 4.5 6h8A1.5 1.5 0 0 1 14 7.5v7a1.5 1.5 0 0 1-1.5 1.5h-8A1.5 1.5 0 0 1 3 14.5zM14 10l4.5-2.5v7L14 12",
  microphone:
    "M8.5 4.5a2.5 2.5 0 0 1 5 0v5.5a2.5 2.5 0 0 1-5 0zM5.5 10a5.5 5.5 0 0 0 11 0M11 15.5V19",
  brush: "M12.5 4.5 17 9l-6.5 6.5-4.5-4.5zM6 11l-1.5 4c-.3 1-1 1.600-2 2 2.5.8 5 .5 6-1l2-1",
  leave: "M9 4H5.5A1.5 1.5 0 0 0 4 5.5v11A1.5 1.5 0 0 0 5.5 18H9M13 7.5 17 11l-4 3.5M16.5 11H8.5",
  link: "M9 13a3.5 3.5 0 0 0 5 0l3-3a3.5 3.5 0 0 0-5-5l-1 1M13 9a3.5 3.5 0 0 0-5 0l-3 3a3.5 3.5 0 0 0 5 5l1-1",
  chart: "M4 4v14h14M8 14v-3M11.5 14V8M15 14v-5",
  shield: "M11 3.5 17 6v4.5c0 4-2.5 6.5-6 8-3.5-1.5-6-4-6-8V6z",
  person:
    "M11 11a3.2 3.2 0 1 0 0-6.400 3.2 3.2 0 0 0 0 6.400zM4.5 18c.8-3.2 3.300-4.800 6.5-4.800s5.700 1.600 6.5 4.800",
  close: "M6 6l10 10M16 6 6 16",
} as const;

export type IconName = keyof typeof PATHS;

/** Decorative: the control around it carries the words. `off` strikes it through. */
export function Icon({ name, off = false }: { name: IconName; off?: boolean }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 22 22" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
      {off && <path d="M3.5 3.5 18.5 18.5" class="icon-strike" />}
    </svg>
  );
}

/** The mark of the product. */
export function Logo(): JSX.Element {
  return (
    <span class="logo">
      <svg viewBox="0 0 26 22" aria-hidden="true" focusable="false">
        <path d="M3 4h7a7 7 0 0 1 0 14H3z" class="logo-solid" />
        <path d="M15.5 4a7 7 0 0 1 0 14M20 5.5a7 7 0 0 1 0 11" class="logo-wave" />
      </svg>
      Driftless
    </span>
  );
}
