import { existsSync, mkdirSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { capture, runLogged } from "./command.mjs";
import { cacheDir, root, setupDir } from "./paths.mjs";
import { SetupError } from "./steps.mjs";
import { compareVersions, MINIMUM_NODE } from "./version.mjs";

/** The Node that is brought from npm where the user's own is too old. */
const PRIVATE_NODE = "24.21.0";

/**
 * @typedef {object} NodeRuntime
 * @property {string} node path of a Node that runs the server
 * @property {string} version
 * @property {NodeJS.ProcessEnv} env environment in which `node`, `npm` and the installed tools are found
 */

/**
 * Finds a Node that is new enough: the running one, or a private one from npm in the cache.
 * @param {(what: string) => void} working
 * @returns {Promise<NodeRuntime>}
 */
export async function ensureNode(working) {
  if (compareVersions(process.version, MINIMUM_NODE) >= 0) {
    return runtime(process.execPath, process.version);
  }
  const home = join(cacheDir, `node-${PRIVATE_NODE}`);
  const node = join(home, "node_modules", ".bin", "node");
  if (capture(node, ["--version"]).stdout.trim() !== `v${PRIVATE_NODE}`) {
    working(`${process.version} is older than ${MINIMUM_NODE}, bringing ${PRIVATE_NODE} from npm`);
    await installPrivateNode(home);
  }
  if (capture(node, ["--version"]).status !== 0) {
    throw new SetupError(
      `Node ${MINIMUM_NODE} or newer is needed, this is ${process.version}, and the Node from npm does not run here.`,
      "install Node 24 from https://nodejs.org and run this command again",
    );
  }
  return runtime(node, `v${PRIVATE_NODE}`);
}

/** @param {string} home */
async function installPrivateNode(home) {
  mkdirSync(home, { recursive: true });
  const name = `node-${process.platform}-${process.arch}`;
  const args = ["install", "--prefix", home, "--ignore-scripts", "--no-fund", "--no-audit"];
  await runLogged("npm", [...args, "--no-save", `${name}@${PRIVATE_NODE}`], {
    logFile: join(setupDir, "node.log"),
    cwd: home,
  });
}

/**
 * @param {string} node
 * @param {string} version
 * @returns {NodeRuntime}
 */
function runtime(node, version) {
  const path = [dirname(node), join(root, "node_modules", ".bin"), process.env.PATH ?? ""];
  return { node, version, env: { ...process.env, PATH: path.join(delimiter) } };
}

/**
 * First of the named programs that is on the path.
 * @param {string[]} names
 * @returns {string | null}
 */
export function findProgram(names) {
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  for (const name of names) {
    for (const folder of folders) {
      if (existsSync(join(folder, name))) return join(folder, name);
    }
  }
  return null;
}
