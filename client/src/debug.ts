import { audioEnergy, avOffsetMs, captureAgeMs, videoFigures } from "./media/stats.ts";
import type { Room } from "./room/room.ts";
import type { AppState } from "./state.ts";
import type { Store } from "./store.ts";

/** One received track, for tests and for looking into a strange call from the console. */
export interface DebugConsumer {
  consumerId: string;
  participantId: string;
  /** "audio", or which picture of the participant. */
  slot: "original" | "generated" | "audio";
  flowing: boolean;
  /** ms; null is the browser's own choice. Only audio is ever given one. */
  jitterBufferTarget: number | null;
}

/** Counters of one received track at this moment. */
export interface DebugSample extends DebugConsumer {
  framesDecoded: number;
  bytesReceived: number;
  packetsLost: number;
  /** Age of the last played frame by capture time; null without capture times. */
  captureAgeMs: number | null;
  /** How far this picture is behind the same participant's voice; null while unknown. */
  avOffsetMs: number | null;
  totalAudioEnergy: number;
}

/**
 * `window.__driftless`: read-only, always there, used by the end-to-end tests. Nothing in it can
 * change the call, and it shows nothing that the page does not already know.
 */
export interface DebugState {
  /** The state of the page without its tracks. */
  readonly state: Pick<AppState, "phase" | "link" | "roomId" | "selfId" | "draft" | "notices">;
  readonly participants: readonly AppState["people"][string]["info"][];
  readonly transports: { send: string; receive: string } | null;
  readonly consumers: readonly DebugConsumer[];
  /** Reads the statistics of every received track. */
  sample(): Promise<DebugSample[]>;
}

declare global {
  interface Window {
    __driftless?: DebugState;
  }
}

/** Publishes the debug state of the current room (or of the lobby, with `room` null). */
export function exposeDebugState(store: Store<AppState>, room: Room | null): void {
  const entries = () => room?.media?.consumers.all() ?? [];
  const describe = (entry: ReturnType<typeof entries>[number]): DebugConsumer => ({
    consumerId: entry.consumer.id,
    participantId: entry.participantId,
    slot: entry.slot,
    flowing: entry.flowing,
    jitterBufferTarget: entry.consumer.rtpReceiver?.jitterBufferTarget ?? null,
  });
  window.__driftless = Object.freeze({
    get state() {
      const { phase, link, roomId, selfId, draft, notices } = store.get();
      return { phase, link, roomId, selfId, draft, notices };
    },
    get participants() {
      return Object.values(store.get().people).map((person) => person.info);
    },
    get transports() {
      return room?.media?.states() ?? null;
    },
    get consumers() {
      return entries().map(describe);
    },
    async sample() {
      const reports = new Map<string, RTCStatsReport>();
      for (const { consumer } of entries()) reports.set(consumer.id, await consumer.getStats());
      return entries().flatMap((entry) => {
        const report = reports.get(entry.consumer.id);
        if (report === undefined) return [];
        const voice = room?.media?.consumers.find(entry.participantId, "audio")?.consumer.id;
        const audio = voice === undefined ? undefined : reports.get(voice);
        const figures = videoFigures(report, null);
        const receiver = entry.consumer.rtpReceiver;
        return {
          ...describe(entry),
          framesDecoded: figures?.frames ?? 0,
          bytesReceived: figures?.bytes ?? 0,
          packetsLost: figures?.packetsLost ?? 0,
          captureAgeMs: receiver === undefined ? null : captureAgeMs(receiver),
          avOffsetMs:
            audio === undefined || entry.slot === "audio" ? null : avOffsetMs(report, audio),
          totalAudioEnergy: audioEnergy(report),
        };
      });
    },
  });
}
