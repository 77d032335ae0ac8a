import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { roomUrl } from "../link.ts";
import type { Playback } from "../media/playback.ts";
import type { LocalDevices } from "../room/local-devices.ts";
import type { RoomControls } from "../room/room.ts";
import type { AppState } from "../state.ts";
import { type Store, sameElements, useSelector } from "../store.ts";
import { ControlBar } from "./control-bar.tsx";
import { DeviceSelect } from "./device-select.tsx";
import { Icon, Logo } from "./icons.tsx";
import { LookPanel } from "./look-panel.tsx";
import { Notices } from "./notices.tsx";
import { queueWords } from "./picture-state.ts";
import { BehindSelect, FallbackSelect, HideRoom } from "./privacy-panel.tsx";
import { Voices } from "./remote-audio.tsx";
import { Stage } from "./stage.tsx";

interface RoomPageProps {
  store: Store<AppState>;
  room: RoomControls;
  devices: LocalDevices;
  playback: Playback;
  onDismiss(id: string): void;
}

/** The room: everybody's tiles, the own look, the controls. */
export function RoomPage(props: RoomPageProps): JSX.Element {
  const { store, room, devices, playback, onDismiss } = props;
  const [roomId, notices, local, mayPublish] = useSelector(
    store,
    ({ roomId, notices, local, mayPublish }) => [roomId, notices, local, mayPublish] as const,
    sameElements,
  );
  const [panel, setPanel] = useState(true);
  // On a phone the lobby was scrolled down to its button.
  useEffect(() => window.scrollTo(0, 0), []);

  return (
    <div class={panel && mayPublish ? "room" : "room panel-closed"}>
      <header class="topbar">
        <Logo />
        <span class="room-name ellipsis" title={roomId}>
          {roomId}
        </span>
        <CopyLink roomId={roomId} />
      </header>
      <Notices notices={notices} onDismiss={onDismiss} />
      <Stage store={store} room={room} playback={playback} />
      {mayPublish && (
        <aside class="panel" hidden={!panel}>
          <OwnLook store={store} room={room} />
          <details class="advanced devices">
            <summary>Camera and microphone</summary>
            <DeviceSelect local={local} devices={devices} />
          </details>
        </aside>
      )}
      <ControlBar
        local={local}
        mayPublish={mayPublish}
        devices={devices}
        panel={panel}
        onPanel={() => setPanel(!panel)}
        onLeave={() => void room.leave()}
      />
      <Voices store={store} playback={playback} />
    </div>
  );
}

/** The own look and what it hides. */
function OwnLook({ store, room }: Pick<RoomPageProps, "store" | "room">): JSX.Element {
  const state = useSelector(store, lookState, sameElements);
  const [draft, presets, suggestions, promptMaxChars, mayTransform, camera, hidden, fallback, own] =
    state;
  const queue = own?.status?.state === "queued" ? own.status.queue : null;
  return (
    <>
      <LookPanel
        draft={draft}
        presets={presets}
        suggestions={suggestions}
        promptMaxChars={promptMaxChars}
        locked={lockedBecause(mayTransform, camera)}
        onApply={(next) => void room.setTransform(next)}
      />
      {draft.on && queue !== null && (
        <p class="waiting-line" role="status">
          <span>Waiting for a place: {queueWords(queue).toLowerCase()}</span>
          <button
            type="button"
            class="button small"
            onClick={() => void room.setTransform({ ...draft, on: false })}
          >
            Cancel
          </button>
        </p>
      )}
      <section class="privacy" aria-label="Privacy">
        <HideRoom hidden={hidden} onChange={(hideRoom) => void room.setPrivacy({ hideRoom })} />
        {hidden && draft.kind === "restyle" && mayTransform && (
          <BehindSelect
            draft={draft}
            onChange={(behind) => void room.setTransform({ ...draft, behind })}
          />
        )}
        {mayTransform && (
          <FallbackSelect
            order={fallback}
            hidden={hidden}
            onChange={(order) => void room.setPrivacy({ fallback: order })}
          />
        )}
      </section>
    </>
  );
}

function lookState(state: AppState) {
  const { draft, presets, suggestions, promptMaxChars, mayTransform, local, selfId } = state;
  const own = selfId === null ? undefined : state.people[selfId];
  const { hideOriginal, fallback } = state;
  return [
    draft,
    presets,
    suggestions,
    promptMaxChars,
    mayTransform,
    local.camera,
    hideOriginal,
    fallback,
    own,
  ] as const;
}

/** Why the look cannot be changed; null when it can. */
function lockedBecause(mayTransform: boolean, camera: MediaStreamTrack | null): string | null {
  if (!mayTransform) return "Your invitation does not allow changing the look.";
  if (camera === null) return "Turn the camera on to repaint it.";
  return null;
}

function CopyLink({ roomId }: { roomId: string }): JSX.Element {
  const [copied, setCopied] = useState(false);
  const url = roomUrl(location.origin, roomId);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(url);
      setCopied(true);
      setTimeout(() => setCopied(false), 2_000);
    } catch {
      // Without clipboard permission the person copies it by hand.
      window.prompt("Copy this link:", url);
    }
  };
  return (
    <button type="button" class="button small quiet copy" onClick={() => void copy()}>
      <Icon name="link" />
      <span aria-live="polite">{copied ? "Copied" : "Copy link"}</span>
    </button>
  );
}
