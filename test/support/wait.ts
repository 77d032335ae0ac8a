/** Waits until `condition` gives something; fails after `limitMs` with `what`. */
export async function until<T>(
  what: string,
  condition: () => T | null | undefined | false,
  limitMs = 40_000,
): Promise<T> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const value = condition();
    if (value !== null && value !== undefined && value !== false) {
      return value;
    }
    if (performance.now() > endMs) {
      throw new Error(`waited ${limitMs} ms in vain for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
