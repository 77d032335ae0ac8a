/** The oldest Node that runs the server: mediasoup needs 22, type stripping without a flag 22.18. */
export const MINIMUM_NODE = "22.18.0";

/**
 * Compares two dotted versions ("v24.9.0", "22.18") number by number; a missing part counts as 0.
 * @param {string} a
 * @param {string} b
 * @returns {number} negative if a is older, 0 if equal, positive if a is newer
 */
export function compareVersions(a, b) {
  const left = parse(a);
  const right = parse(b);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/**
 * @param {string} version
 * @returns {number[]}
 */
function parse(version) {
  const match = /^v?(\d+(?:\.\d+)*)/.exec(version);
  if (!match?.[1]) throw new Error(`expected a version such as 24.9.0, got "${version}"`);
  return match[1].split(".").map(Number);
}
