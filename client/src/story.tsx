/**
 * The room page with drawn people and no server, for looking at layouts: `npx vite client`, then
 * http://127.0.0.1:3300/story.html?people=50&speaker=7. It is no part of the built page.
 *
 * `people`: how many · `mixed`: with upright and square cameras · `state`: of the own transform.
 */
import { render } from "preact";
import { Playback } from "./media/playback.ts";
import type { TransformStatus } from "./protocol.ts";
import { LocalDevices } from "./room/local-devices.ts";
import { withInfo, withStatus } from "./room/people.ts";
import type { RoomControls } from "./room/room.ts";
import { createAppState, type ParticipantMedia, withPerson } from "./state.ts";
import { createStore } from "./store.ts";
import { RoomPage } from "./ui/room-page.tsx";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/room.css";
import "./styles/tile.css";

const SHAPES = [
  [640, 360],
  [360, 640],
  [480, 480],
  [640, 480],
] as const;
const NAMES = ["Ada Lovelace", "Ben", "Cleo Ortiz", "Dimitri", "Esi", "Faridah Binti", "Gus"];

const query = new URLSearchParams(location.search);
const count = Number(query.get("people") ?? 5);
const mixed = query.has("mixed");
const state = query.get("state") as TransformStatus["state"] | null;

const store = createAppState("story", null);
const log: unknown[] = [];
const room: RoomControls = {
  media: null,
  figures: createStore(null),
  setTransform: async (draft) => store.update((before) => ({ ...before, draft })),
  setPrivacy: async ({ hideRoom, fallback }) =>
    store.update((before) => ({
      ...before,
      hideOriginal: hideRoom ?? before.hideOriginal,
      fallback: fallback ?? before.fallback,
    })),
  reportView: (tiles) => void log.push(tiles),
  leave: async () => undefined,
};

for (let index = 0; index < count; index += 1) {
  const participantId = `p${index}`;
  const [width, height] = SHAPES[mixed ? index % SHAPES.length : 0] ?? SHAPES[0];
  const off = index % 7 === 6;
  const track = off ? null : drawnCamera(width, height, index);
  const received = (each: MediaStreamTrack | null) =>
    each === null ? null : { consumerId: participantId, track: each, flowing: true };
  const media: ParticipantMedia = { original: received(track), generated: null, audio: null };
  store.update((before) => {
    const info = {
      participantId,
      identity: participantId,
      name: `${NAMES[index % NAMES.length]} ${index}`,
      joinedAtMs: index,
      audio: index % 3 !== 0,
      video: off ? ("none" as const) : ("original" as const),
      transform: null,
      hideOriginal: false,
    };
    const added = withPerson(withInfo(before, info), participantId, (person) => ({
      ...person,
      media,
    }));
    if (index > 0) return added;
    const local = { ...added.local, asked: true, camera: track };
    return { ...added, phase: "room", selfId: participantId, local };
  });
}
if (state !== null) {
  store.update((before) => ({
    ...withStatus(before, {
      participantId: "p0",
      revision: 1,
      state,
      reason: "",
      settings: { mode: "restyle", prompt: "ink", strength: 1, steps: 1, seed: 0 },
      delayMs: 300,
      level: "full",
      queue: state === "queued" ? { position: 2, estimatedWaitSeconds: 40 } : null,
      video: "original",
      fps: 0,
      bitrateBps: 0,
    }),
    draft: { ...before.draft, on: true, prompt: "ink" },
  }));
}

const app = document.getElementById("app");
if (app === null) throw new Error('expected an element with id "app" in story.html');
const playback = new Playback({ blocked: () => undefined, onGesture: () => undefined });
Object.assign(window, { story: { store, log } });
render(
  <RoomPage
    store={store}
    room={room}
    devices={new LocalDevices(store)}
    playback={playback}
    onDismiss={() => undefined}
  />,
  app,
);

/** A moving picture with a frame around it, so that nothing that is cut off goes unseen. */
function drawnCamera(width: number, height: number, hue: number): MediaStreamTrack | null {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  if (context === null) return null;
  const draw = (): void => {
    const swing = Math.sin(performance.now() / 700 + hue);
    context.fillStyle = `hsl(${hue * 47} 35% 38%)`;
    context.fillRect(0, 0, width, height);
    context.strokeStyle = "#fff";
    context.lineWidth = 6;
    context.strokeRect(3, 3, width - 6, height - 6);
    context.fillStyle = `hsl(${hue * 47 + 160} 45% 70%)`;
    context.beginPath();
    context.arc(width / 2 + swing * 30, height / 2, Math.min(width, height) / 4, 0, 7);
    context.fill();
  };
  draw();
  setInterval(draw, 200);
  return canvas.captureStream(5).getVideoTracks()[0] ?? null;
}
