import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runLogged } from "./command.mjs";
import { root, setupDir } from "./paths.mjs";

/**
 * @typedef {object} LockEntry
 * @property {string} [version]
 * @property {boolean} [optional]
 * @property {boolean} [link]
 * @typedef {{ packages?: Record<string, LockEntry> }} Lock
 */

/**
 * Names of the packages in which node_modules differs from package-lock.json. An optional package
 * may be absent: most are there for other platforms.
 * @param {Lock} wanted package-lock.json
 * @param {Lock} installed node_modules/.package-lock.json
 * @returns {string[]}
 */
export function lockDifferences(wanted, installed) {
  const have = installed.packages ?? {};
  return Object.entries(wanted.packages ?? {})
    .filter(([path, entry]) => {
      if (path === "" || entry.link) return false;
      const found = have[path];
      return found ? found.version !== entry.version : !entry.optional;
    })
    .map(([path]) => path);
}

/**
 * Brings node_modules to the state of package-lock.json.
 * @param {{ env: NodeJS.ProcessEnv, stamps: import("./stamps.mjs").Stamps, working: (what: string) => void }} context
 * @returns {Promise<string>}
 */
export async function ensureNpmPackages({ env, stamps, working }) {
  const platform = `${process.platform}-${process.arch}`;
  const wanted = readLock(join(root, "package-lock.json"));
  const installed = readLock(join(root, "node_modules", ".package-lock.json"));
  if (!wanted) throw new Error(`${join(root, "package-lock.json")} is missing or damaged`);

  const count = Object.keys(wanted.packages ?? {}).length;
  // A folder that was filled on another platform lacks this platform's binaries. One that `npm
  // install` filled has no stamp and is taken as it is.
  const otherPlatform = ![platform, undefined].includes(stamps.get("npm"));
  const differences = installed ? lockDifferences(wanted, installed) : [];
  if (installed && differences.length === 0 && !otherPlatform) return "up to date";
  working(installed ? `updating (${differences[0] ?? `now on ${platform}`})` : "installing");
  // No package needs its install script: node-datachannel, rolldown and biome ship their binaries
  // as packages of their own, and mediasoup's worker is a step of this set-up.
  // `npm ci` would be stricter, but it refuses a lock file that was written where the registry lacks
  // the optional packages of other platforms. Versions come from the lock file either way.
  const args = ["install", "--no-save", "--ignore-scripts", "--no-fund", "--no-audit"];
  await runLogged("npm", args, { logFile: join(setupDir, "npm.log"), cwd: root, env });
  stamps.set("npm", platform);
  return `installed ${count} packages`;
}

/**
 * @param {string} file
 * @returns {Lock | null}
 */
function readLock(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return null;
  }
}
