/** Short texts for figures; a dash where there is none. */
export const DASH = "–";

export function milliseconds(value: number | null | undefined): string {
  return value === null || value === undefined ? DASH : `${Math.round(value)} ms`;
}

export function signedMilliseconds(value: number | null): string {
  if (value === null) return DASH;
  const rounded = Math.round(value);
  return `${rounded > 0 ? "+" : ""}${rounded} ms`;
}

export function perSecond(value: number | null | undefined): string {
  return value === null || value === undefined ? DASH : `${value.toFixed(1)} fps`;
}

export function bitrate(value: number | null | undefined): string {
  if (value === null || value === undefined) return DASH;
  return value >= 1_000_000
    ? `${(value / 1_000_000).toFixed(2)} Mb/s`
    : `${Math.round(value / 1000)} kb/s`;
}

/** Up to two initials for the placeholder of a tile without picture. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  const first = [...(words[0] ?? "?")][0] ?? "?";
  const last = words.length > 1 ? ([...(words.at(-1) ?? "")][0] ?? "") : "";
  return (first + last).toUpperCase();
}
