import { setTimeout as sleep } from "node:timers/promises";
import { pictureLossIndication } from "../../../server/engine/process/rtp/rtcp.ts";
import { Pictures } from "../probes/pictures.ts";
import { breakCall, HIDDEN, nowMs, OPEN } from "../support/call.ts";
import { openRoomClip } from "../support/clip.ts";
import type { ChaosCase } from "../support/types.ts";

const EVERY_MS = 10;
const PLAIN = "plain";
const CAMERAS = [HIDDEN, OPEN, PLAIN];
/** Key frames that a camera is asked for in a second of the storm. */
const PER_SECOND = 3;

export const keyFrameStorm: ChaosCase = {
  name: "key-frame-storm",
  about: "one viewer asks for a key frame a hundred times a second: cameras and others stay calm",
  limitMs: (short) => (short ? 150_000 : 90_000),
  run({ short, say }) {
    const seconds = short ? 3 : 20;
    // The third camera is one new track, and its voice another.
    return breakCall({}, { longestGapMs: 3000, renegotiations: 2 }, async (call) => {
      // A camera that nobody repaints: requests for it may reach it.
      await call.enter({ name: PLAIN, clip: await openRoomClip() });
      const pictures = new Pictures([], nowMs);
      const loud = await call.enter({ name: "loud", pictures });
      await call.until("pictures at the loud viewer", 15_000, () =>
        [OPEN, PLAIN].every((who) => pictures.count(who, 0) > 3),
      );
      const before = CAMERAS.map((name) => call.caller(name).keyFrameRequests);
      const endMs = nowMs() + seconds * 1000;
      while (nowMs() < endMs) {
        for (const ssrc of loud.viewer?.videoSsrcs() ?? []) {
          loud.viewer?.sendFeedback(pictureLossIndication(1, ssrc));
          call.tried += 1;
        }
        await sleep(EVERY_MS);
      }
      for (const [i, name] of CAMERAS.entries()) {
        const asked = call.caller(name).keyFrameRequests - (before[i] ?? 0);
        say(
          `${call.tried} requests in ${seconds} s; the camera of ${name} was asked ${asked} times`,
        );
        if (asked <= PER_SECOND * seconds) continue;
        call.notes.push(
          `${name}: expected at most ${PER_SECOND * seconds} requests at the camera, got ${asked}`,
        );
      }
    });
  },
};
