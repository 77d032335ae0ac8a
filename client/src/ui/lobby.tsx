import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { parseRoomInput, suggestRoomId } from "../link.ts";
import type { Playback } from "../media/playback.ts";
import type { LocalDevices } from "../room/local-devices.ts";
import type { AppState, Draft, LocalMedia, PreviewState } from "../state.ts";
import { type Store, useStore } from "../store.ts";
import { DeviceSelect } from "./device-select.tsx";
import { Icon, Logo } from "./icons.tsx";
import { LookPanel } from "./look-panel.tsx";
import { Notices } from "./notices.tsx";
import { queueWords } from "./picture-state.ts";
import { HideRoom } from "./privacy-panel.tsx";
import { useVideo } from "./tile-video.tsx";

export interface JoinChoice {
  roomId: string;
  /** A pass that came with a pasted link; null keeps the one of this page's address. */
  token: string | null;
  name: string;
  hideOriginal: boolean;
}

interface LobbyProps {
  store: Store<AppState>;
  devices: LocalDevices;
  playback: Playback;
  onJoin(choice: JoinChoice): void;
  /** Shows a look to the person alone; `place` is the room that may be joined later. */
  onTry(draft: Draft, place: Pick<JoinChoice, "roomId" | "token">): void;
  onEndTry(): void;
  onDismiss(id: string): void;
}

const NAME_KEY = "driftless.name";

/** Before the room: look at yourself, choose devices and a name, join. */
export function Lobby(props: LobbyProps): JSX.Element {
  const { store, devices, playback, onJoin, onTry, onEndTry, onDismiss } = props;
  const state = useStore(store);
  const { local, preview, mayPublish } = state;
  const [name, setName] = useState(() => localStorage.getItem(NAME_KEY) ?? "");
  const [room, setRoom] = useState(() => state.roomId || suggestRoomId());
  const joining = state.phase === "joining";
  const link = parseRoomInput(room, new URL(location.href));
  const place =
    link.roomId === null ? null : { roomId: link.roomId, token: link.token ?? state.token };

  const submit = (event: Event): void => {
    event.preventDefault();
    if (name.trim() === "" || link.roomId === null || joining) return;
    localStorage.setItem(NAME_KEY, name.trim());
    const { hideOriginal } = state;
    onJoin({ roomId: link.roomId, token: link.token, name: name.trim(), hideOriginal });
  };
  const hide = (hideOriginal: boolean): void =>
    store.update((before) => ({ ...before, hideOriginal }));
  const tryOn = (draft: Draft): void => {
    if (place !== null) onTry(draft, place);
  };
  const startTrying = async (): Promise<void> => {
    if (local.camera === null) await devices.setOn("camera", true);
    if (store.get().local.camera !== null) tryOn({ ...state.draft, on: false });
  };

  return (
    <main class={mayPublish ? "lobby" : "lobby view-only"}>
      <header class="lobby-head">
        <Logo />
        <p class="faint">Video rooms that can repaint what your camera sees.</p>
      </header>
      <Notices notices={state.notices} onDismiss={onDismiss} />
      <div class="lobby-body">
        {mayPublish && (
          <div class="mirror-side">
            <Mirror
              local={local}
              preview={preview}
              on={state.draft.on}
              {...{ devices, playback }}
            />
            {preview === null ? (
              <button
                type="button"
                class="button quiet"
                disabled={link.roomId === null || joining}
                onClick={() => void startTrying()}
              >
                Try a look before you join
              </button>
            ) : (
              <>
                <LookPanel
                  draft={state.draft}
                  presets={state.presets}
                  suggestions={state.suggestions}
                  promptMaxChars={state.promptMaxChars}
                  locked={
                    state.mayTransform ? null : "Your invitation does not allow changing the look."
                  }
                  onApply={tryOn}
                />
                <button type="button" class="button small quiet" onClick={onEndTry}>
                  Stop trying
                </button>
              </>
            )}
          </div>
        )}
        <form class="join" onSubmit={submit}>
          <label>
            Your name
            <input
              name="name"
              required
              maxLength={64}
              autocomplete="nickname"
              value={name}
              onInput={(event) => setName(event.currentTarget.value)}
            />
          </label>
          <label>
            Room or link
            <input
              name="room"
              required
              value={room}
              aria-invalid={link.roomId === null}
              aria-describedby="room-hint"
              onInput={(event) => setRoom(event.currentTarget.value)}
            />
          </label>
          <p id="room-hint" class={link.roomId === null ? "hint bad" : "hint"}>
            {link.roomId === null
              ? "Use letters, digits, “-” or “_”, up to 64, or paste a whole link."
              : "Whoever opens the same room meets you there."}
          </p>
          {mayPublish ? (
            <>
              <DeviceSelect local={local} devices={devices} />
              <HideRoom hidden={state.hideOriginal} onChange={hide} />
            </>
          ) : (
            <p class="hint">Your invitation is for watching: nobody sees or hears you.</p>
          )}
          <button type="submit" class="button primary" disabled={joining || link.roomId === null}>
            {joining ? "Joining …" : "Join the room"}
          </button>
        </form>
      </div>
    </main>
  );
}

interface MirrorProps {
  local: LocalMedia;
  preview: PreviewState | null;
  /** A look is switched on. */
  on: boolean;
  devices: LocalDevices;
  playback: Playback;
}

/** The own camera as it is, or with the look that is tried. */
function Mirror({ local, preview, on, devices, playback }: MirrorProps): JSX.Element {
  const video = useVideo(local.camera, playback);
  const repainted = useVideo(preview?.track ?? null, playback);
  const [aspect, setAspect] = useState(16 / 9);
  const follow = (): void => {
    const { videoWidth = 0, videoHeight = 1 } = video.current ?? {};
    if (videoWidth > 0) setAspect(videoWidth / videoHeight);
  };
  return (
    <section
      class="preview"
      aria-label="Your camera"
      style={{ "--aspect": local.camera === null ? 16 / 9 : aspect }}
    >
      <video ref={video} autoplay playsinline muted class="mirror" data-preview onResize={follow} />
      <video
        ref={repainted}
        autoplay
        playsinline
        muted
        class={preview?.track ? "mirror repainted" : "mirror repainted empty"}
        data-preview-look
      />
      {preview !== null && (
        <p class="chip preview-chip" role="status">
          <span class="dot" />
          {previewWords(preview, on)}
        </p>
      )}
      {local.camera === null && (
        <div class="preview-off">
          <Icon name="camera" off />
          {local.asked ? (
            <p>{local.cameraOn ? "Opening the camera …" : "Camera off"}</p>
          ) : (
            <button type="button" class="button primary" onClick={() => void devices.open()}>
              Turn on camera and microphone
            </button>
          )}
        </div>
      )}
      <div class="preview-bar">
        <button
          type="button"
          class="round"
          aria-pressed={local.microphoneOn}
          aria-label={local.microphoneOn ? "Mute the microphone" : "Unmute the microphone"}
          onClick={() => void devices.setOn("microphone", !local.microphoneOn)}
        >
          <Icon name="microphone" off={!local.microphoneOn} />
        </button>
        <button
          type="button"
          class="round"
          aria-pressed={local.cameraOn}
          aria-label={local.cameraOn ? "Turn the camera off" : "Turn the camera on"}
          onClick={() => void devices.setOn("camera", !local.cameraOn)}
        >
          <Icon name="camera" off={!local.cameraOn} />
        </button>
      </div>
    </section>
  );
}

/** What the picture in the lobby shows, in a few words. */
function previewWords({ phase, track, state, queue }: PreviewState, on: boolean): string {
  if (track !== null && on) return "Only you see this";
  if (phase === "connecting") return "Connecting …";
  if (!on) return "Choose a look: only you will see it";
  if (state === "queued" && queue !== null) return `Waiting: ${queueWords(queue).toLowerCase()}`;
  return state === "fallback" ? "Waiting for the engine" : "The new look is on its way";
}
