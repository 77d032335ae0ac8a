// Finds or brings what Driftless needs on this machine: `node scripts/setup.mjs [profile]`.
// Safe to repeat; takes a second or two when nothing is missing. Needs Node 18 or newer and no
// npm package. `npm start` and `npm test` do the same before they begin.
import { orExplain, PROFILES, setUp } from "./lib/setup.mjs";

const profile = process.argv[2] ?? "start";
if (PROFILES[profile]) {
  process.exitCode = (await orExplain(() => setUp(profile))) ? 0 : 1;
} else {
  const known = Object.keys(PROFILES).join(", ");
  console.error(`usage: node scripts/setup.mjs [profile], with a profile of ${known}`);
  process.exitCode = profile === "--help" ? 0 : 2;
}
