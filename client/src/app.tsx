import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { exposeDebugState } from "./debug.ts";
import { exposeApi } from "./embedding.ts";
import { rememberToken, roomUrl } from "./link.ts";
import { onDocumentGesture, Playback } from "./media/playback.ts";
import { LocalDevices } from "./room/local-devices.ts";
import { Preview } from "./room/preview.ts";
import { Room } from "./room/room.ts";
import { type AppState, type Draft, type Notice, withNotice, withoutNotice } from "./state.ts";
import { type Store, sameElements, useSelector } from "./store.ts";
import { Left } from "./ui/left.tsx";
import { type JoinChoice, Lobby } from "./ui/lobby.tsx";
import { RoomPage } from "./ui/room-page.tsx";

const PLAYBACK_BLOCKED: Notice = {
  id: "sound",
  tone: "info",
  text: "The browser holds sound and pictures back. Tap or click anywhere in the page to start them.",
};

/** The page: lobby, then the room, then the goodbye. */
export function App({ store }: { store: Store<AppState> }): JSX.Element {
  const [phase, roomId, notices] = useSelector(
    store,
    ({ phase, roomId, notices }) => [phase, roomId, phase === "left" ? notices : null] as const,
    sameElements,
  );
  const [devices] = useState(() => new LocalDevices(store));
  const [playback] = useState(() => createPlayback(store));
  const [room, setRoom] = useState<Room | null>(null);
  const preview = useRef<Preview | null>(null);

  useEffect(() => {
    // Who may only watch is never asked for a camera.
    if (store.get().mayPublish) void devices.openIfAllowed();
  }, [devices]);
  useEffect(() => {
    exposeDebugState(store, room);
    exposeApi(store, room);
  }, [store, room]);
  useEffect(() => {
    // Closing the tab: say so, or the others would look at a frozen tile for a while.
    const leave = (): void => {
      preview.current?.close();
      void room?.leave();
    };
    window.addEventListener("pagehide", leave);
    return () => window.removeEventListener("pagehide", leave);
  }, [room]);

  const dismiss = (id: string): void => store.update((before) => withoutNotice(before, id));
  const tryLook = (draft: Draft, choice: Pick<JoinChoice, "roomId" | "token">): void => {
    const place = { roomId: choice.roomId, token: choice.token ?? store.get().token };
    if (preview.current === null || store.get().preview === null) {
      preview.current = new Preview(store, devices, place);
    }
    void preview.current.setLook(draft);
  };
  const endPreview = (): void => {
    preview.current?.close();
    preview.current = null;
  };
  const join = (choice: JoinChoice): void => {
    endPreview();
    const { roomId, name, hideOriginal } = choice;
    const token = choice.token ?? store.get().token;
    store.update((before) => ({ ...before, roomId, token, hideOriginal }));
    // The address becomes the room's link; the token stays out of it, so that it is not shared
    // by accident, and is kept for a reload of this tab.
    if (token !== null) rememberToken(sessionStorage, roomId, token);
    history.replaceState(null, "", roomUrl(location.origin, roomId));
    setRoom(new Room(store, devices, name));
  };

  if (phase === "left") {
    const again = (): void => {
      setRoom(null);
      store.update((before) => ({ ...before, phase: "lobby", notices: [] }));
      if (store.get().local.asked) void devices.open();
    };
    return <Left roomId={roomId} notices={notices ?? []} onAgain={again} />;
  }
  if (phase === "room" && room !== null) {
    return (
      <RoomPage
        store={store}
        room={room}
        devices={devices}
        playback={playback}
        onDismiss={dismiss}
      />
    );
  }
  return (
    <Lobby
      store={store}
      devices={devices}
      playback={playback}
      onJoin={join}
      onTry={tryLook}
      onEndTry={endPreview}
      onDismiss={dismiss}
    />
  );
}

function createPlayback(store: Store<AppState>): Playback {
  return new Playback({
    blocked: (blocked) =>
      store.update((before) =>
        blocked ? withNotice(before, PLAYBACK_BLOCKED) : withoutNotice(before, PLAYBACK_BLOCKED.id),
      ),
    onGesture: onDocumentGesture,
  });
}
