import type { JSX } from "preact";
import type { Notice } from "../state.ts";
import { Logo } from "./icons.tsx";

interface LeftProps {
  roomId: string;
  notices: readonly Notice[];
  onAgain(): void;
}

/** After leaving. Camera and microphone are released by now. */
export function Left({ roomId, notices, onAgain }: LeftProps): JSX.Element {
  return (
    <main class="left-page">
      <Logo />
      <h1>You left {roomId}</h1>
      <p class="faint">Camera and microphone are off.</p>
      {notices
        .filter((notice) => notice.id === "left")
        .map((notice) => (
          <p key={notice.id} role="alert">
            {notice.text}
          </p>
        ))}
      <button type="button" class="button primary" onClick={onAgain}>
        Back to the room's door
      </button>
    </main>
  );
}
