import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { parseRoomInput, suggestRoomId } from "../link.ts";
import type { LocalDevices } from "../room/local-devices.ts";
import type { AppState, Draft, PreviewState } from "../state.ts";
import { DeviceSelect } from "./device-select.tsx";
import { Icon, Logo } from "./icons.tsx";
import { LookPanel } from "./look-panel.tsx";
import { Notices } from "./notices.tsx";
import { useVideo } from "./tile-video.tsx";

export interface JoinChoice {
  roomId: string;
  /** A pass that came with a pasted link; null keeps the one of this page's address. */
  token: string | null;
  name: string;
  hideOriginal: boolean;
}

interface LobbyProps {
  state: AppState;
  devices: LocalDevices;
  onJoin(choice: JoinChoice): void;
  /** Shows a look to the person alone; `place` is the room that may be joined later. */
  onTry(draft: Draft, place: Pick<JoinChoice, "roomId" | "token">): void;
  onEndTry(): void;
  onDismiss(id: string): void;
}

const NAME_KEY = "driftless.name";

/** Before the room: look at yourself, choose devices and a name, join. */
export function Lobby(props: LobbyProps): JSX.Element {
  const { state, devices, onJoin, onTry, onEndTry, onDismiss } = props;
  const { local, preview } = state;
  const [name, setName] = useState(() => localStorage.getItem(NAME_KEY) ?? "");
  const [room, setRoom] = useState(() => state.roomId || suggestRoomId());
  const [hideOriginal, setHideOriginal] = useState(state.hideOriginal);
  const video = useVideo(local.camera);
  const repainted = useVideo(preview?.track ?? null);
  const joining = state.phase === "joining";
  const link = parseRoomInput(room, new URL(location.href));

  const submit = (event: Event): void => {
    event.preventDefault();
    if (name.trim() === "" || link.roomId === null || joining) return;
    localStorage.setItem(NAME_KEY, name.trim());
    onJoin({ roomId: link.roomId, token: link.token, name: name.trim(), hideOriginal });
  };

  const tryOn = (draft: Draft): void => {
    if (link.roomId !== null) onTry(draft, { roomId: link.roomId, token: link.token });
  };

  return (
    <main class="lobby">
      <header class="lobby-head">
        <Logo />
        <p class="faint">Video rooms that can repaint what your camera sees.</p>
      </header>
      <Notices notices={state.notices} onDismiss={onDismiss} />
      <div class="lobby-body">
        <div class="mirror-side">
          <section class="preview" aria-label="Your camera">
            <video ref={video} autoplay playsinline muted class="mirror" data-preview />
            <video
              ref={repainted}
              autoplay
              playsinline
              muted
              class="mirror repainted"
              data-preview-look
            />
            {preview !== null && (
              <p class="chip preview-chip" role="status">
                <span class="dot" />
                {previewWords(preview, state.draft.on)}
              </p>
            )}
            {local.camera === null && (
              <div class="preview-off">
                <Icon name="camera" off />
                <p>{local.cameraOn ? "Opening the camera …" : "Camera off"}</p>
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
          {preview === null ? (
            <button
              type="button"
              class="button quiet"
              disabled={local.camera === null || link.roomId === null || joining}
              onClick={() => tryOn({ ...state.draft, on: false })}
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
          <DeviceSelect local={local} devices={devices} />
          <label class="check">
            <input
              type="checkbox"
              name="hideOriginal"
              checked={hideOriginal}
              onChange={(event) => setHideOriginal(event.currentTarget.checked)}
            />
            <span>
              Hide my room
              <span class="hint">
                Nobody ever receives your real picture, only the repainted one.
              </span>
            </span>
          </label>
          <button type="submit" class="button primary" disabled={joining || link.roomId === null}>
            {joining ? "Joining …" : "Join the room"}
          </button>
        </form>
      </div>
    </main>
  );
}

/** What the picture in the lobby shows, in a few words. */
function previewWords({ phase, track, state }: PreviewState, on: boolean): string {
  if (track !== null && on) return "Only you see this";
  if (phase === "connecting") return "Connecting …";
  if (!on) return "Choose a look: only you will see it";
  return state === "fallback" ? "Waiting for the engine" : "The new look is on its way";
}
