/** Which settings keep the room behind a person from everybody's eyes. */
import type { EngineTransform } from "./protocol.ts";

/** True where no pixel of the room reaches the generated picture. */
export function hidesRoom(transform: EngineTransform): boolean {
  return transform.mode === "background" || transform.hideRoom === true;
}
