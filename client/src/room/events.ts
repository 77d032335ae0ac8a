import { applyAudioTarget, audioTarget } from "../media/lip-sync.ts";
import type { MediaSession } from "../media/session.ts";
import type { ServerEvents, TransformFigures, TransformStatus } from "../protocol.ts";
import { type AppState, withNotice } from "../state.ts";
import type { Store } from "../store.ts";
import { withInfo, withoutInfo, withStatus } from "./people.ts";
import type { Stay } from "./stay.ts";

/** What the events need from the room. */
export interface EventTarget {
  figures: Store<TransformFigures | null>;
  /** The own look as the server has it: an operator may have changed it. */
  ownTransform(status: TransformStatus): void;
  /** The engine does not take the own settings. */
  refused(refusal: ServerEvents["transform:refused"]): void;
  /** Settings of the own look are on screen. */
  applied(applied: ServerEvents["transform:applied"]): void;
  /** The server removed us from the room. */
  removed(reason: string): void;
}

/** Carries what the server says about people and looks into the state. */
export function followServer(stay: Stay, store: Store<AppState>, target: EventTarget): void {
  const own = (participantId: string): boolean => participantId === store.get().selfId;

  stay.on("participant:joined", (info) => store.update((state) => withInfo(state, info)));
  stay.on("participant:updated", (info) => {
    store.update((state) => withInfo(state, info));
    syncLips(store, stay.media, info.participantId);
  });
  stay.on("participant:left", ({ participantId, reason }) => {
    if (own(participantId)) target.removed(reason);
    else store.update((state) => withoutInfo(state, participantId));
  });
  stay.on("transform:state", (status) => {
    store.update((state) => withStatus(state, status));
    if (own(status.participantId)) target.ownTransform(status);
    syncLips(store, stay.media, status.participantId);
  });
  stay.on("transform:stats", (figures) => {
    if (own(figures.participantId)) target.figures.update(() => figures);
  });
  stay.on("transform:refused", (refusal) => target.refused(refusal));
  stay.on("transform:applied", (applied) => {
    if (own(applied.participantId)) target.applied(applied);
  });
  stay.on("server:draining", ({ secondsLeft }) =>
    say(
      store,
      `The server goes down for maintenance in ${minutesOf(secondsLeft)}. Stay until then; this page joins again by itself afterwards.`,
    ),
  );
  stay.on("server:closing", () =>
    say(store, "The server is restarting. This page joins again by itself."),
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
  applyAudioTarget(receiver, audioTarget(video, transform, current));
}

function say(store: Store<AppState>, text: string): void {
  store.update((state) => withNotice(state, { id: "server", tone: "info", text }));
}

function minutesOf(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  if (minutes < 2) return `${Math.round(seconds)} seconds`;
  return `${minutes} minutes`;
}
