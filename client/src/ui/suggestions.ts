const SHOWN = 3;

/**
 * Words to try: those that go on from what is being typed, or any; never what stands there already.
 * @param offered in order of interest
 * @param typed the words so far
 */
export function suggest(offered: readonly string[], typed: string): string[] {
  const words = typed
    .toLowerCase()
    .split(/[\s,]+/u)
    .filter(Boolean);
  const last = words.at(-1) ?? "";
  const others = offered.filter((each) => each.toLowerCase() !== typed.trim().toLowerCase());
  const begins = (each: string): boolean =>
    each
      .toLowerCase()
      .split(/[\s,]+/u)
      .some((word) => word.startsWith(last));
  const going = last.length < 3 ? [] : others.filter(begins);
  return (going.length > 0 ? going : others).slice(0, SHOWN);
}
