/** What a participant may do in a room. */
export interface Grants {
  /** Send a camera, a microphone or a screen. */
  readonly publish: boolean;
  /** Receive what others send. */
  readonly view: boolean;
  /** Change how one's own camera is repainted. */
  readonly transform: boolean;
  /** Close rooms, remove participants, stop their transforms. */
  readonly admin: boolean;
}
