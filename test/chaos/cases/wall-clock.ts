import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { breakCall, OPEN } from "../support/call.ts";
import type { ChaosCase } from "../support/types.ts";

/** Debian's faketime; another place by DRIFTLESS_FAKETIME. */
const LIBRARIES = [
  process.env.DRIFTLESS_FAKETIME ?? "",
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
];
const WATCH_MS = 6000;
const SHORT_WATCH_MS = 4000;
/** Capture to generated frame: anything beyond is the step, not the delay. */
const DELAY_LIMIT_MS = 5000;

export const wallClock: ChaosCase = {
  name: "wall-clock",
  about: "the server's wall clock steps: pictures go on, and delays are told as they are",
  limitMs: (short) => (short ? 150_000 : 120_000),
  async run({ short, say }) {
    const library = LIBRARIES.find((file) => file !== "" && existsSync(file));
    if (library === undefined) {
      return {
        ...{ tried: 0, longestGapMs: null, rawFrames: 0, renegotiations: 0, leaked: 0, ok: true },
        notes: ["not tried: faketime is not installed (apt-get install faketime)"],
      };
    }
    const folder = mkdtempSync(path.join(tmpdir(), "driftless-clock-"));
    const clock = path.join(folder, "offset");
    writeFileSync(clock, "+0\n");
    const env = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: clock,
      FAKETIME_CACHE_DURATION: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      DONT_FAKE_MONOTONIC: "1",
    };
    try {
      const bounds = { longestGapMs: 3000, renegotiations: 0 };
      return await breakCall({ env }, bounds, async (call) => {
        for (const seconds of short ? [-60] : [-60, 0, 60, 0]) {
          // libfaketime reads the file again once a second.
          writeFileSync(clock, `${seconds < 0 ? "" : "+"}${seconds}\n`);
          await sleep(short ? SHORT_WATCH_MS : WATCH_MS);
          call.tried += 1;
          const open = call.caller(OPEN);
          const told = open.delaysMs.get(open.participantId) ?? Number.NaN;
          open.delaysMs.clear();
          say(`clock at ${seconds} s: delay told as ${Math.round(told)} ms`);
          if (!(told >= 0 && told <= DELAY_LIMIT_MS)) {
            call.notes.push(`clock at ${seconds} s: delay told as ${Math.round(told)} ms`);
          }
        }
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
