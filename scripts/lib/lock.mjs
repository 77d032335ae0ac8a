import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

const POLL_MS = 300;

/**
 * Runs `body` while holding a lock file, so that two commands started together do not build into
 * the same folder. The lock of a process that is gone is taken over.
 * @template T
 * @param {string} file
 * @param {(ownerPid: number) => void} onWait called once if another process holds the lock
 * @param {() => Promise<T>} body
 * @returns {Promise<T>}
 */
export async function withLock(file, onWait, body) {
  mkdirSync(dirname(file), { recursive: true });
  let told = false;
  while (!tryLock(file)) {
    const owner = readOwner(file);
    if (owner !== null && !isAlive(owner)) {
      rmSync(file, { force: true });
      continue;
    }
    if (!told && owner !== null) {
      onWait(owner);
      told = true;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const release = () => rmSync(file, { force: true });
  process.once("exit", release);
  try {
    return await body();
  } finally {
    process.off("exit", release);
    release();
  }
}

/** @param {string} file */
function tryLock(file) {
  try {
    writeFileSync(file, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === "EEXIST") return false;
    throw error;
  }
}

/**
 * @param {string} file
 * @returns {number | null} null while the owner is still writing it, or once it is gone
 */
function readOwner(file) {
  try {
    return Number.parseInt(readFileSync(file, "utf8"), 10) || null;
  } catch {
    return null;
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === "EPERM";
  }
}
