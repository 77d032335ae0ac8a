import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { exposeDebugState } from "./debug.ts";
import { rememberToken, roomUrl } from "./link.ts";
import { LocalDevices } from "./room/local-devices.ts";
import { Preview } from "./room/preview.ts";
import { Room } from "./room/room.ts";
import { type AppState, type Draft, type Notice, withNotice, withoutNotice } from "./state.ts";
import { type Store, useStore } from "./store.ts";
import { Left } from "./ui/left.tsx";
import { type JoinChoice, Lobby } from "./ui/lobby.tsx";
import { RoomPage } from "./ui/room-page.tsx";

const SOUND_BLOCKED: Notice = {
  id: "sound",
  tone: "info",
  text: "The browser holds the sound back. Click anywhere in the page to hear the others.",
};

/** The page: lobby, then the room, then the goodbye. */
export function App({ store }: { store: Store<AppState> }): JSX.Element {
  const state = useStore(store);
  const [devices] = useState(() => new LocalDevices(store));
  const [room, setRoom] = useState<Room | null>(null);
  const preview = useRef<Preview | null>(null);

  useEffect(() => void devices.open(), [devices]);
  useEffect(() => exposeDebugState(store, room), [store, room]);
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
    const place = { roomId: choice.roomId, token: choice.token ?? state.token };
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
    const token = choice.token ?? state.token;
    store.update((before) => ({ ...before, roomId, token, hideOriginal }));
    // The address becomes the room's link; the token stays out of it, so that it is not shared
    // by accident, and is kept for a reload of this tab.
    if (token !== null) rememberToken(sessionStorage, roomId, token);
    history.replaceState(null, "", roomUrl(location.origin, roomId));
    setRoom(new Room(store, devices, name));
  };

  if (state.phase === "left") {
    const again = (): void => {
      setRoom(null);
      store.update((before) => ({ ...before, phase: "lobby", notices: [] }));
      void devices.open();
    };
    return <Left roomId={state.roomId} notices={state.notices} onAgain={again} />;
  }
  if (state.phase === "room" && room !== null) {
    const sound = (blocked: boolean): void =>
      store.update((before) =>
        blocked ? withNotice(before, SOUND_BLOCKED) : withoutNotice(before, SOUND_BLOCKED.id),
      );
    return (
      <RoomPage state={state} room={room} devices={devices} onDismiss={dismiss} onSound={sound} />
    );
  }
  return (
    <Lobby
      state={state}
      devices={devices}
      onJoin={join}
      onTry={tryLook}
      onEndTry={endPreview}
      onDismiss={dismiss}
    />
  );
}
