/**
 * Starts media elements, and starts again what the browser refused: before the person has touched
 * the page, or on a phone that saves power, sound and pictures alike may be refused. One tap or key
 * anywhere then starts all of them.
 */

/** What this needs of a media element. */
export type Playable = Pick<HTMLMediaElement, "play">;

export interface PlaybackOptions {
  /** Something is refused, or all of it plays. */
  blocked(blocked: boolean): void;
  /** Calls back at every gesture of the person; the document's, or a test's own. */
  onGesture(listener: () => void): void;
}

export class Playback {
  readonly #options: PlaybackOptions;
  readonly #refused = new Set<Playable>();
  #told = false;

  constructor(options: PlaybackOptions) {
    this.#options = options;
    options.onGesture(() => {
      // Within the gesture itself: after an await the browser may not count it any more.
      for (const element of [...this.#refused]) void this.start(element);
    });
  }

  /** Starts an element; refused ones are started at the next gesture. Never throws. */
  async start(element: Playable): Promise<void> {
    try {
      await element.play();
      this.#refused.delete(element);
    } catch (error) {
      // AbortError only says that a newer track took the element over.
      if (!(error instanceof Error) || error.name !== "NotAllowedError") return;
      this.#refused.add(element);
    } finally {
      this.#tell();
    }
  }

  /** The element is gone. */
  forget(element: Playable): void {
    if (this.#refused.delete(element)) this.#tell();
  }

  #tell(): void {
    const blocked = this.#refused.size > 0;
    if (blocked === this.#told) return;
    this.#told = blocked;
    this.#options.blocked(blocked);
  }
}

/** Taps and keys anywhere in the page. */
export function onDocumentGesture(listener: () => void): void {
  // "pointerup", not "pointerdown": on touch screens only the end of a tap counts as a gesture.
  for (const name of ["pointerdown", "pointerup", "keydown"]) {
    document.addEventListener(name, listener, { capture: true });
  }
}
