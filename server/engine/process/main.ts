/** Entry of the engine process (see supervisor.ts): the process with the native engine in it. */
import { loadNativeEngine } from "./native.ts";
import { runEngineProcess } from "./process.ts";

runEngineProcess(async (options) => loadNativeEngine(options));
