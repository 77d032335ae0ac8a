/** Who speaks: from the loudness of the received voices, without jumping at every cough. */

/** Quieter is not speech. Linear, 1 is the loudest a track can be. */
const SPEECH_LEVEL = 0.02;
/** Somebody else has to be the loudest for so long. */
const TAKE_OVER_MS = 800;

export class SpeakerWatch {
  #speaker: string | null = null;
  #rival: { id: string; sinceMs: number } | null = null;

  get speaker(): string | null {
    return this.#speaker;
  }

  /**
   * Takes the loudness of everybody at one moment. Who spoke last stays until somebody else speaks.
   * @param levels 0 to 1 by participant id; who is missing has left
   * @returns the participant id of the speaker, null before anybody spoke
   */
  next(levels: ReadonlyMap<string, number>, nowMs: number): string | null {
    if (this.#speaker !== null && !levels.has(this.#speaker)) this.#speaker = null;
    let loudest: string | null = null;
    let level = SPEECH_LEVEL;
    for (const [id, each] of levels) {
      if (each < level) continue;
      level = each;
      loudest = id;
    }
    if (loudest === null || loudest === this.#speaker) {
      this.#rival = null;
    } else if (this.#speaker === null) {
      this.#speaker = loudest;
    } else if (this.#rival?.id !== loudest) {
      this.#rival = { id: loudest, sinceMs: nowMs };
    } else if (nowMs - this.#rival.sinceMs >= TAKE_OVER_MS) {
      this.#speaker = loudest;
      this.#rival = null;
    }
    return this.#speaker;
  }
}
