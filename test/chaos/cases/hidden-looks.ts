import { setTimeout as sleep } from "node:timers/promises";
import { breakCall, HIDDEN, nowMs } from "../support/call.ts";
import type { Transform } from "../support/caller.ts";
import type { ChaosCase } from "../support/types.ts";

const LOOKS: Transform[] = [
  { mode: "restyle", prompt: "natural photo", strength: 0 },
  { mode: "background", scene: "beach", strength: 0 },
  { mode: "restyle", prompt: "pencil sketch", strength: 1 },
  { mode: "off" },
  { mode: "background", blur: true },
  { mode: "restyle", prompt: "natural photo", strength: 0.1 },
];

export const hiddenLooks: ChaosCase = {
  name: "hidden-looks",
  about: "somebody who hides the room tries looks, fast and slowly: no picture ever shows it",
  limitMs: (short) => (short ? 150_000 : 120_000),
  run({ short }) {
    return breakCall({}, {}, async (call) => {
      const hidden = call.caller(HIDDEN);
      for (const pauseMs of short ? [700] : [3000, 300, 30]) {
        for (const look of LOOKS) {
          call.phase(JSON.stringify(look));
          await hidden.setTransform(look);
          call.tried += 1;
          await sleep(pauseMs);
        }
      }
      const sinceMs = nowMs();
      await hidden.setTransform({ mode: "background", scene: "gradient", strength: 0 });
      await call.until(
        "a picture after all looks",
        15_000,
        () => call.pictures.count(HIDDEN, sinceMs) > 3,
      );
    });
  },
};
