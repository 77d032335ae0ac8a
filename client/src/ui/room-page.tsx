import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { roomUrl } from "../link.ts";
import type { LocalDevices } from "../room/local-devices.ts";
import type { Room } from "../room/room.ts";
import type { AppState, Person } from "../state.ts";
import { ControlBar } from "./control-bar.tsx";
import { DeviceSelect } from "./device-select.tsx";
import { bestGrid } from "./grid.ts";
import { Icon, Logo } from "./icons.tsx";
import { LookPanel } from "./look-panel.tsx";
import { Notices } from "./notices.tsx";
import { RemoteAudio } from "./remote-audio.tsx";
import { Tile } from "./tile.tsx";

interface RoomPageProps {
  state: AppState;
  room: Room;
  devices: LocalDevices;
  onDismiss(id: string): void;
  onSound(blocked: boolean): void;
}

const GAP = 12;

/** The room: everybody's tiles, the own look, the controls. */
export function RoomPage(props: RoomPageProps): JSX.Element {
  const { state, room, devices, onDismiss, onSound } = props;
  const people = inOrder(state);
  const [stage, size] = useSize();
  const grid = bestGrid(people.length, size.width, size.height, GAP);
  const [panel, setPanel] = useState(true);
  // On a phone the lobby was scrolled down to its button.
  useEffect(() => window.scrollTo(0, 0), []);

  return (
    <div class={panel ? "room" : "room panel-closed"}>
      <header class="topbar">
        <Logo />
        <span class="room-name ellipsis" title={state.roomId}>
          {state.roomId}
        </span>
        <CopyLink roomId={state.roomId} />
      </header>
      <Notices notices={state.notices} onDismiss={onDismiss} />
      <main class="stage">
        <div class="tiles" ref={stage} style={{ gap: `${GAP}px` }}>
          {people.map((person) => (
            <Tile
              key={person.info.participantId}
              person={person}
              room={room}
              local={person.info.participantId === state.selfId ? state.local : null}
              width={grid.tileWidth}
            />
          ))}
        </div>
        {people.length === 1 && (
          <p class="alone">You are alone here. Copy the link and send it to somebody.</p>
        )}
      </main>
      {state.mayPublish && (
        <aside class="panel" hidden={!panel}>
          <LookPanel
            draft={state.draft}
            presets={state.presets}
            suggestions={state.suggestions}
            promptMaxChars={state.promptMaxChars}
            locked={lockedBecause(state)}
            onApply={(draft) => void room.setTransform(draft)}
          />
          <details class="advanced devices">
            <summary>Camera and microphone</summary>
            <DeviceSelect local={state.local} devices={devices} />
          </details>
        </aside>
      )}
      <ControlBar
        local={state.local}
        mayPublish={state.mayPublish}
        devices={devices}
        panel={panel}
        onPanel={() => setPanel(!panel)}
        onLeave={() => void room.leave()}
      />
      {people
        .filter((person) => person.info.participantId !== state.selfId)
        .map(({ info, media }) =>
          media.audio === null ? null : (
            <RemoteAudio
              key={info.participantId}
              participantId={info.participantId}
              track={media.audio.track}
              onBlocked={() => onSound(true)}
              onPlaying={() => onSound(false)}
            />
          ),
        )}
    </div>
  );
}

/** Why the look cannot be changed; null when it can. */
function lockedBecause(state: AppState): string | null {
  if (!state.mayTransform) return "Your invitation does not allow changing the look.";
  if (state.local.camera === null) return "Turn the camera on to repaint it.";
  return null;
}

/** Oneself first, or last without a camera; the others in the order of arrival. */
function inOrder(state: AppState): Person[] {
  const own = state.local.camera === null ? 1 : -1;
  return Object.values(state.people).sort((a, b) => {
    if (a.info.participantId === state.selfId) return own;
    if (b.info.participantId === state.selfId) return -own;
    return a.info.joinedAtMs - b.info.joinedAtMs;
  });
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

/** Width and height of an element's content box, kept up to date. */
function useSize() {
  const ref = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  useEffect(() => {
    const element = ref.current;
    if (element === null) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry === undefined) return;
      const { width, height } = entry.contentRect;
      // In the narrow layout the page scrolls and the box is as high as its tiles: no limit.
      const scrolls = matchMedia("(max-width: 760px)").matches;
      setSize({ width: Math.floor(width), height: scrolls ? 0 : Math.floor(height) });
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, size] as const;
}
