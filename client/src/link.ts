/** Which room a link leads to, and the pass that opens it. */
export interface RoomLink {
  roomId: string | null;
  token: string | null;
}

/** Room names that the server accepts: letters, digits, dash, underscore; 1 to 64. */
const ROOM_ID = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * Reads `/r/:roomId`, with the token in `?token=` or, so that it stays out of server logs, in
 * `#token` or `#token=…`. A room name that no server would accept counts as absent.
 */
export function parseRoomLink(url: URL): RoomLink {
  const match = /^\/r\/([^/]+)\/?$/.exec(url.pathname);
  const roomId = match?.[1] === undefined ? null : safeDecode(match[1]);
  const fragment = url.hash.replace(/^#(token=)?/, "");
  return {
    roomId: roomId !== null && ROOM_ID.test(roomId) ? roomId : null,
    token: url.searchParams.get("token") ?? (fragment === "" ? null : fragment),
  };
}

/** The link to hand to others. The own token is personal and therefore not part of it. */
export function roomUrl(origin: string, roomId: string): string {
  return `${origin}/r/${encodeURIComponent(roomId)}`;
}

/** Accepts what a person pastes into the room field: a whole link or only the room's name. */
export function parseRoomInput(text: string, base: URL): RoomLink {
  const trimmed = text.trim();
  if (trimmed.includes("/")) {
    return URL.canParse(trimmed, base)
      ? parseRoomLink(new URL(trimmed, base))
      : { roomId: null, token: null };
  }
  return { roomId: ROOM_ID.test(trimmed) ? trimmed : null, token: null };
}

/** A room name that is easy to say and hard to guess by accident, such as `quiet-harbour-482`. */
export function suggestRoomId(random: () => number = Math.random): string {
  const pick = (words: readonly string[]) => words[Math.floor(random() * words.length)] ?? "room";
  const first = ["quiet", "amber", "north", "paper", "silver", "violet", "early", "gentle"];
  const second = ["harbour", "garden", "meadow", "studio", "window", "river", "canvas", "island"];
  return `${pick(first)}-${pick(second)}-${100 + Math.floor(random() * 900)}`;
}

/** Keeps a room's token for this tab, because the address does not show it after joining. */
export function rememberToken(storage: Storage, roomId: string, token: string): void {
  storage.setItem(`driftless.token.${roomId}`, token);
}

/** The token kept for a room, or null. */
export function recallToken(storage: Storage, roomId: string): string | null {
  return storage.getItem(`driftless.token.${roomId}`);
}

function safeDecode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return null;
    throw error;
  }
}
