import { render } from "preact";
import { App } from "./app.tsx";
import { isViewOnly } from "./grants-hint.ts";
import { parseRoomLink, recallToken } from "./link.ts";
import { createAppState } from "./state.ts";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/lobby.css";
import "./styles/room.css";
import "./styles/tile.css";

const root = document.getElementById("app");
if (root === null) throw new Error('expected an element with id "app" in index.html');
const link = parseRoomLink(new URL(location.href));
const roomId = link.roomId ?? "";
const token = link.token ?? recallToken(sessionStorage, roomId);
const store = createAppState(roomId, token);
if (isViewOnly(token)) store.update((state) => ({ ...state, mayPublish: false }));
render(<App store={store} />, root);
