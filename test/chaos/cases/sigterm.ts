import { family, isAlive } from "../probes/processes.ts";
import { Call, nowMs, VIEWER } from "../support/call.ts";
import type { ChaosCase } from "../support/types.ts";

/** What a process manager grants before it kills (Docker: 10 s, by default). */
const END_LIMIT_MS = 9500;

export const sigterm: ChaosCase = {
  name: "sigterm",
  about: "SIGTERM in a call: goodbye to everybody, exit code 0, nothing stays behind",
  limitMs: () => 150_000,
  async run({ say }) {
    const call = await Call.start();
    const { notes } = call;
    const pids = family(call.server.pid).map(({ pid }) => pid);
    const askedAtMs = nowMs();
    const end = await call.server.stop();
    say(`ended after ${end.tookMs} ms with ${end.code ?? end.signal}`);
    if (end.code !== 0) notes.push(`expected exit code 0, got ${end.code ?? end.signal}`);
    if (end.tookMs > END_LIMIT_MS) {
      notes.push(`expected an end within ${END_LIMIT_MS} ms, took ${end.tookMs}`);
    }
    const viewer = call.caller(VIEWER);
    if (!viewer.events.includes("server:closing")) notes.push("the viewer heard no goodbye");
    const left = pids.filter(isAlive);
    if (left.length > 0) notes.push(`processes outlive the server: ${left.join(", ")}`);
    // Until it was asked to end, the call had no reason to stop.
    const longestGapMs = call.longestGapMs(askedAtMs);
    await call.abandon();
    const { raw } = await call.pictures.look();
    const { renegotiations } = call;
    const leaked = left.length;
    const ok = notes.length === 0 && raw === 0;
    return { tried: 1, longestGapMs, rawFrames: raw, renegotiations, leaked, ok, notes };
  },
};
