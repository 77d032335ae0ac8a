/**
 * The settings of one session as far as its engine has answered: what it works with, what it was
 * asked and has not answered, and what a new process is to be opened with.
 */
import { hidesRoom } from "./hides-room.ts";
import type { EngineTransform } from "./protocol.ts";

export interface RevisedTransform {
  transform: EngineTransform;
  revision: number;
}

export class SessionSettings {
  #accepted: RevisedTransform;
  /** Asked and not answered, oldest first. */
  #asked: RevisedTransform[] = [];

  constructor(first: RevisedTransform) {
    this.#accepted = first;
  }

  /** The newest that somebody wished for, whatever became of it. */
  get wanted(): RevisedTransform {
    return this.#asked.at(-1) ?? this.#accepted;
  }

  /**
   * What to open a new process with. What was accepted once is safe; a wish without an answer follows
   * when that process has taken the session. Only where the wish hides the room and the accepted
   * settings do not, the wish itself: nothing may show the room again.
   */
  get forOpening(): RevisedTransform {
    const { wanted } = this;
    const tightens = hidesRoom(wanted.transform) && !hidesRoom(this.#accepted.transform);
    return tightens ? wanted : this.#accepted;
  }

  /** Whether `forOpening` is a wish that no engine has accepted before. */
  get untried(): boolean {
    return this.forOpening !== this.#accepted;
  }

  /** Notes a wish. */
  ask(wish: RevisedTransform): void {
    this.#asked.push(wish);
  }

  /**
   * A process was opened with `forOpening`.
   * @returns what it has to be asked next; null when it has everything
   */
  opened(): RevisedTransform | null {
    const { wanted } = this;
    this.#accepted = this.forOpening;
    this.#asked = wanted === this.#accepted ? [] : [wanted];
    return this.#asked[0] ?? null;
  }

  /** The engine took this revision. */
  accept(revision: number): void {
    this.#accepted = this.#asked.find((wish) => wish.revision === revision) ?? this.#accepted;
    this.#asked = this.#asked.filter((wish) => wish.revision > revision);
  }

  /**
   * The engine did not take it, and goes on with what it had.
   * @returns whether that shows a room which the newest wish would have hidden
   */
  refuse(revision: number): boolean {
    const { wanted } = this;
    this.#asked = this.#asked.filter((wish) => wish.revision !== revision);
    const newest = wanted.revision === revision;
    return newest && hidesRoom(wanted.transform) && !hidesRoom(this.#accepted.transform);
  }
}
