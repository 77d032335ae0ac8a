/** An engine process with the echo engine in it; the model's name chooses how it behaves. */
import { runEngineProcess } from "../../../../server/engine/process/process.ts";
import { createEchoEngine } from "./echo-engine.ts";

runEngineProcess(async ({ modelDir }) => {
  if (modelDir === "missing") {
    throw new Error("expected a model in the folder missing, found nothing");
  }
  if (modelDir === "crash") {
    process.exit(3);
  }
  if (modelDir === "never") {
    await new Promise(() => undefined);
  }
  if (modelDir === "hang") {
    setTimeout(() => {
      for (;;);
    }, 300);
  }
  return createEchoEngine();
});
