import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Folder of the checkout. */
export const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** What is expensive to make and independent of this checkout; shared by all checkouts. */
export const cacheDir = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "driftless");

/** Stamps, logs and the lock of the set-up; safe to delete. */
export const setupDir = join(root, "build", "setup");

/** Build folder of native/, and the folder of its programs. */
export const nativeBuildDir = join(root, "build", "native");
export const nativeProgramsDir = join(nativeBuildDir, "Release");
