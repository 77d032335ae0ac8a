import { useEffect, useState } from "preact/hooks";
import type { RoomControls } from "../room/room.ts";
import { SpeakerWatch } from "../room/speaker.ts";

const EVERY_MS = 250;

/** Participant id of who speaks; null before anybody did. */
export function useSpeaker(room: Pick<RoomControls, "media">): string | null {
  const [speaker, setSpeaker] = useState<string | null>(null);
  useEffect(() => {
    const watch = new SpeakerWatch();
    const timer = setInterval(() => {
      const levels = new Map<string, number>();
      for (const { participantId, slot, consumer } of room.media?.consumers.all() ?? []) {
        if (slot !== "audio") continue;
        const source = consumer.rtpReceiver?.getSynchronizationSources()[0];
        levels.set(participantId, source?.audioLevel ?? 0);
      }
      setSpeaker(watch.next(levels, performance.now()));
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, [room]);
  return speaker;
}
