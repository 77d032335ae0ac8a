/** What applications that embed or script the page may do: `window.driftless`. */
import { isViewOnly } from "./grants-hint.ts";
import { rememberToken } from "./link.ts";
import type { Room } from "./room/room.ts";
import type { AppState } from "./state.ts";
import type { Store } from "./store.ts";

export interface DriftlessApi {
  /**
   * Gives the page a newer token for the same room and identity, for example one from your own
   * server shortly before the old one ends. In a room it counts from now on; in the lobby it is
   * used for joining. Rejects where the server refuses it.
   * @returns Unix time in ms at which the token ends; null in the lobby, where nobody checked it
   */
  refreshToken(token: string): Promise<{ expiresAtMs: number | null }>;
}

declare global {
  interface Window {
    driftless?: DriftlessApi;
  }
}

/** Publishes `window.driftless` for the current room, or for the lobby with `room` null. */
export function exposeApi(store: Store<AppState>, room: Room | null): void {
  window.driftless = Object.freeze({
    async refreshToken(token: string) {
      if (typeof token !== "string" || token === "") {
        throw new TypeError(`expected a token, a string with content, got ${typeof token}`);
      }
      const { phase, roomId } = store.get();
      if (room !== null && phase === "room") {
        const reply = await room.refreshToken(token);
        rememberToken(sessionStorage, roomId, token);
        return reply;
      }
      store.update((state) => ({ ...state, token, mayPublish: !isViewOnly(token) }));
      return { expiresAtMs: null };
    },
  });
}
