import { render } from "preact";
import { App } from "./app.tsx";
import { parseRoomLink } from "./link.ts";
import { createAppState } from "./state.ts";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/lobby.css";
import "./styles/room.css";
import "./styles/tile.css";

const root = document.getElementById("app");
if (root === null) throw new Error('expected an element with id "app" in index.html');
const link = parseRoomLink(new URL(location.href));
render(<App store={createAppState(link.roomId ?? "", link.token)} />, root);
