import { setTimeout as sleep } from "node:timers/promises";
import { Pictures } from "../probes/pictures.ts";
import { breakCall, HIDDEN, nowMs, OPEN } from "../support/call.ts";
import { Relay } from "../support/relay.ts";
import type { ChaosCase } from "../support/types.ts";

/** From the end of the cut to pictures: a reconnect, and where it was long a new transport. */
const BACK_LIMIT_MS = 12_000;
/** Longer than this at the others, and somebody's cable was everybody's. */
const OTHERS_GAP_MS = 3000;

export const networkCut: ChaosCase = {
  name: "network-cut",
  about:
    "the cable of one viewer is out for a while: the viewer comes back, others see nothing of it",
  limitMs: (short) => (short ? 150_000 : 180_000),
  run({ short, say }) {
    const cutsMs = short ? [2000] : [5000, 30_000];
    return breakCall({}, { longestGapMs: OTHERS_GAP_MS, renegotiations: 0 }, async (call) => {
      const relay = await Relay.open(call.server.url);
      try {
        const pictures = new Pictures([], nowMs);
        const away = await call.enter({ name: "away", pictures, relay });
        const both = (sinceMs: number) =>
          [HIDDEN, OPEN].every((who) => pictures.count(who, sinceMs) > 3);
        await call.until("pictures through the relay", 15_000, () => both(0));
        for (const cutMs of cutsMs) {
          relay.cut();
          await sleep(cutMs);
          relay.mend();
          const mendedAtMs = nowMs();
          await call.until(`pictures after ${cutMs} ms away`, BACK_LIMIT_MS, () =>
            both(mendedAtMs + 100),
          );
          call.tried += 1;
          const backMs = Math.round(nowMs() - mendedAtMs);
          say(`away ${cutMs} ms: back after ${backMs} ms, set up anew ${away.rebuilt} times`);
          await sleep(1000);
        }
        away.close();
        // Its goodbye has to get through.
        await sleep(500);
      } finally {
        relay.close();
      }
    });
  },
};
