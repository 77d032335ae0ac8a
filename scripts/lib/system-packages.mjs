import { readFileSync } from "node:fs";
import { join } from "node:path";
import { capture, runLogged } from "./command.mjs";
import { findProgram } from "./node-runtime.mjs";
import { setupDir } from "./paths.mjs";
import { SetupError } from "./steps.mjs";

/** @typedef {Record<string, string[]>} PackageGroups Debian package names by group */

/** Programs that serve in place of a group of packages, whoever installed them. */
export const CHROMIUM_NAMES = ["chromium", "chromium-browser", "google-chrome", "chrome"];
export const FIREFOX_NAMES = ["firefox-esr", "firefox"];
/** @type {Record<string, string[]>} */
const SUBSTITUTES = {
  browser: CHROMIUM_NAMES,
  media: ["ffmpeg"],
  format: ["clang-format"],
};

/** @returns {PackageGroups} */
export function readPackageGroups() {
  const file = new URL("../system-packages.json", import.meta.url);
  return JSON.parse(readFileSync(file, "utf8"));
}

/**
 * The packages of some groups, each once, in the order of the groups.
 * @param {PackageGroups} groups
 * @param {string[]} names
 * @returns {string[]}
 */
export function packagesOf(groups, names) {
  const packages = names.flatMap((name) => {
    const group = groups[name];
    if (!group) {
      throw new Error(`expected a group of ${Object.keys(groups).join(", ")}, got "${name}"`);
    }
    return group;
  });
  return [...new Set(packages)];
}

/**
 * Those of `wanted` that dpkg-query did not report as installed.
 * @param {string[]} wanted
 * @param {string} report lines "name status", with status "ii " for an installed package
 * @returns {string[]}
 */
export function missingPackages(wanted, report) {
  const installed = new Set();
  for (const line of report.split("\n")) {
    const [name, status] = line.split(" ");
    if (status?.startsWith("ii")) installed.add(name);
  }
  return wanted.filter((name) => !installed.has(name));
}

/**
 * Installs what is missing of some groups when run by root; otherwise says what to type.
 * @param {string[]} groupNames
 * @param {(what: string) => void} working
 * @returns {Promise<string>} what was found or done
 */
export async function ensureSystemPackages(groupNames, working) {
  const needed = groupNames.filter((name) => !findProgram(SUBSTITUTES[name] ?? []));
  const wanted = packagesOf(readPackageGroups(), needed);
  if (!findProgram(["dpkg-query"])) {
    return `not a Debian or Ubuntu system: not checked (needed: ${wanted.join(" ")})`;
  }
  const missing = queryMissing(wanted);
  if (missing.length === 0) return "complete";

  const install = `apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  if (process.getuid?.() !== 0) {
    throw new SetupError(
      `These system packages are missing: ${missing.join(" ")}.`,
      `sudo apt-get update && sudo ${install}`,
    );
  }
  working(`installing ${missing.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const log = { logFile: join(setupDir, "apt.log"), cwd: "/", env };
  await runLogged("apt-get", ["update"], log);
  await runLogged("apt-get", install.split(" ").slice(1), { ...log, append: true });
  const still = queryMissing(wanted);
  if (still.length > 0) {
    throw new SetupError(`apt-get left these packages out: ${still.join(" ")}.`, install);
  }
  return `installed ${missing.length}`;
}

/**
 * @param {string[]} wanted
 * @returns {string[]}
 */
function queryMissing(wanted) {
  if (wanted.length === 0) return [];
  // Exit code 1 only says that some name is unknown; those have no line and count as missing.
  // biome-ignore lint/suspicious/noTemplateCurlyInString: these placeholders are dpkg-query's own.
  const format = ["-W", "-f", "${Package} ${db:Status-Abbrev}\\n"];
  return missingPackages(wanted, capture("dpkg-query", [...format, ...wanted]).stdout);
}

/** @param {string} name a package @returns {boolean} */
export function isPackageInstalled(name) {
  return findProgram(["dpkg-query"]) !== null && queryMissing([name]).length === 0;
}
