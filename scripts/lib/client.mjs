import { existsSync } from "node:fs";
import { join } from "node:path";
import { runLogged } from "./command.mjs";
import { root, setupDir } from "./paths.mjs";
import { fingerprint, listFiles } from "./stamps.mjs";

/**
 * Builds the web client into client/dist when its sources have changed.
 * @param {{ env: NodeJS.ProcessEnv, stamps: import("./stamps.mjs").Stamps, working: (what: string) => void }} context
 * @returns {Promise<string>}
 */
export async function buildClient({ env, stamps, working }) {
  const dist = join(root, "client", "dist");
  // The client imports the protocol's types and limits from the server's folders.
  const inputs = ["client", "server/edges/socket", "server/domain", "package-lock.json"];
  const isInput = (/** @type {string} */ path) => path !== dist;
  const files = listFiles(
    inputs.map((name) => join(root, name)),
    isInput,
  );
  const state = fingerprint(files);
  if (existsSync(join(dist, "index.html")) && stamps.matches("client", state)) return "up to date";
  working("building");
  const logFile = join(setupDir, "client.log");
  const args = ["build", "--config", join(root, "client", "vite.config.ts")];
  await runLogged("vite", args, { logFile, cwd: join(root, "client"), env });
  stamps.set("client", state);
  return "built";
}
