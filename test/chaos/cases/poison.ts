import { setTimeout as sleep } from "node:timers/promises";
import { partsOf } from "../probes/processes.ts";
import { breakCall, RESTYLE } from "../support/call.ts";
import { openRoomClip, poisoned, seeded } from "../support/clip.ts";
import type { ChaosCase } from "../support/types.ts";

export const poison: ChaosCase = {
  name: "poison-stream",
  about: "a camera of broken frames is repainted beside two healthy people: they do not notice",
  limitMs: (short) => (short ? 150_000 : 120_000),
  run({ short, say }) {
    return breakCall({}, { longestGapMs: 5000 }, async (call) => {
      const engines = partsOf(call.server.pid, "engine");
      for (let seed = 1; seed <= (short ? 1 : 5); seed += 1) {
        const clip = poisoned(await openRoomClip(), seeded(seed));
        const sick = await call.enter({ name: `sick-${seed}`, clip, transform: RESTYLE });
        await sleep(short ? 4000 : 8000);
        sick.close();
        call.tried += 1;
        const now = partsOf(call.server.pid, "engine");
        say(
          `stream ${seed}: engine ${engines.every((pid) => now.includes(pid)) ? "lives" : "was replaced"}`,
        );
      }
    });
  },
};
