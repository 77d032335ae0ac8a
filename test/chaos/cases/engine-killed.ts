import { setTimeout as sleep } from "node:timers/promises";
import { partsOf } from "../probes/processes.ts";
import { breakCall, HIDDEN, nowMs, OPEN } from "../support/call.ts";
import type { ChaosCase } from "../support/types.ts";

/** From SIGKILL to generated frames of both: the start of a process, a model, two sessions. */
const BACK_LIMIT_MS = 15_000;

export const engineKilled: ChaosCase = {
  name: "engine-killed",
  about: "SIGKILL for the engine: both looks come back, without a new track and without the room",
  limitMs: (short) => (short ? 150_000 : 500_000),
  run({ short, say }) {
    const times = short ? 2 : 20;
    return breakCall({}, { longestGapMs: 10_000, renegotiations: 0 }, async (call) => {
      for (; call.tried < times; call.tried += 1) {
        const [engine] = partsOf(call.server.pid, "engine");
        if (engine === undefined) throw new Error("expected an engine process, found none");
        const killedAtMs = nowMs();
        process.kill(engine, "SIGKILL");
        // Frames that were on their way do not count as its return.
        await call.until(`looks after kill ${call.tried + 1}`, BACK_LIMIT_MS, () =>
          [HIDDEN, OPEN].every(
            (who) => call.pictures.count(who, killedAtMs + 500, "generated") > 3,
          ),
        );
        say(`kill ${call.tried + 1}: back after ${Math.round(nowMs() - killedAtMs)} ms`);
        await sleep(500);
      }
    });
  },
};
