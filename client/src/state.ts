import type {
  FallbackOrder,
  JoinReply,
  ParticipantInfo,
  Preset,
  QueuePlace,
  SceneName,
  TransformStatus,
} from "./protocol.ts";
import { createStore, type Store } from "./store.ts";

/** Which picture of a participant is meant. */
export type VideoTrackKind = "original" | "generated";

/** One received track. `flowing` is false while the server holds the track back. */
export interface ReceivedTrack {
  consumerId: string;
  track: MediaStreamTrack;
  flowing: boolean;
}

/** What this page receives of one participant; a track appears when the server announces it. */
export interface ParticipantMedia {
  original: ReceivedTrack | null;
  generated: ReceivedTrack | null;
  audio: ReceivedTrack | null;
}

export const NO_MEDIA: ParticipantMedia = { original: null, generated: null, audio: null };

/** A person in the room: what the server says about them and what is received of them. */
export interface Person {
  info: ParticipantInfo;
  media: ParticipantMedia;
  /** The server's last report on the transform; null while no transform is asked for. */
  status: TransformStatus | null;
}

/**
 * The own devices. `…On` is what the person wants; the track is null while the device is off, is
 * being opened or could not be opened.
 */
export interface LocalMedia {
  /** False until the browser may be asked for the devices: it asks the person then. */
  asked: boolean;
  /** The device is wanted and gives nothing for now: taken by a phone call, unplugged, asleep. */
  cameraInterrupted: boolean;
  microphoneInterrupted: boolean;
  camera: MediaStreamTrack | null;
  microphone: MediaStreamTrack | null;
  cameraOn: boolean;
  microphoneOn: boolean;
  cameraId: string | null;
  microphoneId: string | null;
}

/** A message to the person at the screen. `id` lets a later event remove it again. */
export interface Notice {
  id: string;
  tone: "error" | "info";
  text: string;
}

/** A look that is tried in the lobby. */
export interface PreviewState {
  phase: "connecting" | "open";
  /** The repainted picture; null while none comes. */
  track: MediaStreamTrack | null;
  /** How the transform stands, and why; for people. */
  state: TransformStatus["state"];
  reason: string;
  /** Where it stands in the line for a place in the engine; null when it does not wait. */
  queue: QueuePlace | null;
}

/** How the page is joined to the server. */
export type Link = "idle" | "connecting" | "connected" | "reconnecting";

export interface AppState {
  phase: "lobby" | "joining" | "room" | "left";
  link: Link;
  roomId: string;
  token: string | null;
  selfId: string | null;
  /** What the invitation allows: send a picture and voice, change the own look. */
  mayPublish: boolean;
  mayTransform: boolean;
  /** "Hide my room", as the person wants it. */
  hideOriginal: boolean;
  /** What viewers get while the transform cannot go on. */
  fallback: FallbackOrder;
  /** Revision of the own look that was asked for and is not complete on screen; null: none. */
  incomingRevision: number | null;
  people: Readonly<Record<string, Person>>;
  local: LocalMedia;
  /** What the own controls show; sent to the server when a control is released. */
  draft: Draft;
  /** Null while no look is tried in the lobby. */
  preview: PreviewState | null;
  presets: readonly Preset[];
  suggestions: JoinReply["suggestions"];
  promptMaxChars: number;
  notices: readonly Notice[];
}

/** The look that the own controls describe, whether or not it is switched on. */
export interface Draft {
  on: boolean;
  /** Repaint everything, replace what is behind, or blur it. */
  kind: "restyle" | "background" | "blur";
  /** A background that was chosen by name; null: by the prompt's words. */
  scene: SceneName | null;
  /** What a restyled person stands before while the room is hidden; null: a plain colour. */
  behind: Behind | null;
  prompt: string;
  /** 0 keeps the picture, 1 repaints it fully, up to 2 exaggerates the look. */
  strength: number;
  /** Denoising steps for each chunk of four frames. */
  steps: number;
  seed: number;
}

/** What stands in for a hidden room: a drawn scene, the room out of focus, or one colour. */
export type Behind =
  | { kind: "scene"; scene: SceneName }
  | { kind: "blur" }
  /** As `#rrggbb`. */
  | { kind: "color"; color: string };

const EMPTY_DRAFT: Draft = {
  on: false,
  kind: "restyle",
  scene: null,
  behind: null,
  prompt: "",
  strength: 1,
  steps: 1,
  seed: 0,
};

/** As the server has it for who never said anything else. */
export const DEFAULT_FALLBACK: FallbackOrder = ["lastFrame", "original"];

export function createAppState(roomId: string, token: string | null): Store<AppState> {
  return createStore<AppState>({
    phase: "lobby",
    link: "idle",
    roomId,
    token,
    selfId: null,
    mayPublish: true,
    mayTransform: true,
    hideOriginal: false,
    fallback: DEFAULT_FALLBACK,
    incomingRevision: null,
    people: {},
    local: {
      asked: false,
      cameraInterrupted: false,
      microphoneInterrupted: false,
      camera: null,
      microphone: null,
      cameraOn: true,
      microphoneOn: true,
      cameraId: null,
      microphoneId: null,
    },
    draft: EMPTY_DRAFT,
    preview: null,
    presets: [],
    suggestions: { restyle: [], background: [] },
    promptMaxChars: 500,
    notices: [],
  });
}

/** Shows a notice, in place of an earlier one with the same id. */
export function withNotice(state: AppState, notice: Notice): AppState {
  const others = state.notices.filter((each) => each.id !== notice.id);
  return { ...state, notices: [...others, notice] };
}

/** Removes the notice with this id; the same state comes back where there is none. */
export function withoutNotice(state: AppState, id: string): AppState {
  if (!state.notices.some((each) => each.id === id)) return state;
  return { ...state, notices: state.notices.filter((each) => each.id !== id) };
}

/** Changes one person; unknown ids (already gone) change nothing. */
export function withPerson(
  state: AppState,
  id: string,
  change: (person: Person) => Person,
): AppState {
  const person = state.people[id];
  if (person === undefined) return state;
  const next = change(person);
  return next === person ? state : { ...state, people: { ...state.people, [id]: next } };
}
