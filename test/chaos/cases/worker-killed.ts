import { setTimeout as sleep } from "node:timers/promises";
import { partsOf } from "../probes/processes.ts";
import { breakCall, nowMs } from "../support/call.ts";
import type { ChaosCase } from "../support/types.ts";

const BACK_LIMIT_MS = 15_000;

export const workerKilled: ChaosCase = {
  name: "worker-killed",
  about: "SIGKILL for the media worker, every second time while somebody joins another room",
  limitMs: (short) => (short ? 150_000 : 500_000),
  run({ short, say }) {
    const times = short ? 2 : 20;
    // Everything is set up anew each time, so the number of new tracks is told, not bounded.
    return breakCall({}, { longestGapMs: 10_000 }, async (call) => {
      for (; call.tried < times; call.tried += 1) {
        const [worker] = partsOf(call.server.pid, "worker");
        if (worker === undefined) throw new Error("expected a media worker, found none");
        const killedAtMs = nowMs();
        const name = `guest-${call.tried}`;
        process.kill(worker, "SIGKILL");
        if (call.tried % 2 === 1) {
          const guest = await call.enter({ name, roomId: name, pictures: call.pictures });
          guest.close();
          say(`joined another room ${Math.round(nowMs() - killedAtMs)} ms after the kill`);
        }
        await call.flowsAgain(killedAtMs + 500, BACK_LIMIT_MS);
        say(`kill ${call.tried + 1}: back after ${Math.round(nowMs() - killedAtMs)} ms`);
        await sleep(1000);
      }
    });
  },
};
