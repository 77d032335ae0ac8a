import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";

export const ROOT = path.resolve(import.meta.dirname, "../../..");

/** Where screenshots go; ignored by git. */
export function artifactsDir(): string {
  const dir = path.join(ROOT, "artifacts/e2e");
  mkdirSync(dir, { recursive: true });
  return dir;
}

/** Converted clips outlive a run: the conversion costs seconds. */
export function cacheDir(): string {
  const base = process.env.XDG_CACHE_HOME ?? path.join(homedir(), ".cache");
  const dir = path.join(base, "driftless/e2e");
  mkdirSync(dir, { recursive: true });
  return dir;
}
