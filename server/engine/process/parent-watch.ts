/**
 * A thread of the engine process that ends it when the server is gone. Usually the main thread sees
 * that first, by its closed channel; this one is for a main thread that hangs in native code.
 */
import { workerData } from "node:worker_threads";

const CHECK_MS = 1000;
/** Time for the main thread to end in good order. */
const PATIENCE_CHECKS = 3;

const { parentPid } = workerData as { parentPid: number };
let orphanedChecks = 0;

setInterval(() => {
  // An orphan is handed to another parent.
  orphanedChecks = process.ppid === parentPid ? 0 : orphanedChecks + 1;
  if (orphanedChecks >= PATIENCE_CHECKS) {
    process.kill(process.pid, "SIGKILL");
  }
}, CHECK_MS);
