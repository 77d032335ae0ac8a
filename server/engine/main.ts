/** Entry of the engine process (see supervisor.ts): the process with the native engine in it. */
import { loadNativeEngine } from "./native.ts";
import { runEngineProcess } from "./process.ts";

runEngineProcess(async ({ modelDir, backend, dtype, computeThreads, maxSessions }) =>
  loadNativeEngine({ modelDir, backend, dtype, computeThreads, maxSessions }),
);
