import { applyAudioTarget, audioTarget } from "../media/lip-sync.ts";
import type { MediaSession } from "../media/session.ts";
import type { ServerEventName, ServerEvents, TransformStatus } from "../protocol.ts";
import type { SignalingClient } from "../signaling/client.ts";
import { type AppState, withNotice } from "../state.ts";
import type { Store } from "../store.ts";
import { withInfo, withoutInfo, withStatus } from "./people.ts";

/** What the events need from the stay in the room. */
export interface EventTarget {
  /** The current media session; null between joins. */
  media(): MediaSession | null;
  /** The room's media died on the server: join again. */
  rebuilt(): void;
  /** The own look as the server has it: an operator may have changed it. */
  ownTransform(status: TransformStatus): void;
  /** The server removed us from the room. */
  removed(reason: string): void;
}

/** Carries what the server says into the state and the media session. */
export function followServer(
  signaling: SignalingClient,
  store: Store<AppState>,
  target: EventTarget,
): void {
  const on = <N extends ServerEventName>(name: N, handle: (payload: ServerEvents[N]) => void) =>
    signaling.on(name, handle);

  on("participant:joined", (info) => store.update((state) => withInfo(state, info)));
  on("participant:updated", (info) => {
    store.update((state) => withInfo(state, info));
    syncLips(store, target.media(), info.participantId);
  });
  on("participant:left", ({ participantId, reason }) => {
    if (participantId === store.get().selfId) target.removed(reason);
    else store.update((state) => withoutInfo(state, participantId));
  });

  on("consumer:new", (message) => target.media()?.announce(message));
  on("consumer:closed", ({ consumerId }) => target.media()?.consumers.remove(consumerId));
  on("consumer:paused", ({ consumerId }) =>
    target.media()?.consumers.setFlowing(consumerId, false),
  );
  on("consumer:resumed", ({ consumerId }) =>
    target.media()?.consumers.setFlowing(consumerId, true),
  );

  on("transform:state", (status) => {
    store.update((state) => withStatus(state, status));
    if (status.participantId === store.get().selfId) target.ownTransform(status);
    syncLips(store, target.media(), status.participantId);
  });

  on("room:rebuilt", () => target.rebuilt());
  on("server:closing", () =>
    store.update((state) =>
      withNotice(state, {
        id: "connection",
        tone: "info",
        text: "The server is restarting. This page joins again by itself.",
      }),
    ),
  );
}

/** Sets the delay of a participant's voice to that of the shown picture. */
export function syncLips(
  store: Store<AppState>,
  media: MediaSession | null,
  participantId: string,
): void {
  const person = store.get().people[participantId];
  const receiver = media?.consumers.find(participantId, "audio")?.consumer.rtpReceiver;
  if (person === undefined || receiver === undefined) return;
  const { video, transform } = person.info;
  const current = receiver.jitterBufferTarget ?? null;
  applyAudioTarget(receiver, audioTarget(video, transform?.delayMs ?? null, current));
}
