/** What one case did, and what came of it; the shape of the table and of the `--json` line. */
export interface CaseResult {
  name: string;
  /** How often the fault was made. */
  tried: number;
  /** Longest time without a frame of video at somebody who watched; null: not looked at. */
  longestGapMs: number | null;
  /** Pictures that reached a viewer and showed the room of somebody who hides it. */
  rawFrames: number;
  /** Tracks that a viewer had to set up anew after the call had settled. */
  renegotiations: number;
  /** Processes, sockets, rooms, tracks that stayed behind, and memory beyond its bound. */
  leaked: number;
  ok: boolean;
  /** What was expected and what came, where it was not as it should be; and what was not tried. */
  notes: string[];
}

export type Outcome = Omit<CaseResult, "name">;

export interface CaseContext {
  /** True: seconds in place of minutes, for the tests of every change. */
  short: boolean;
  say(line: string): void;
}

export interface ChaosCase {
  name: string;
  /** One line: what is broken, and what has to hold. */
  about: string;
  /** After this the case counts as failed and its server is ended. */
  limitMs(short: boolean): number;
  run(context: CaseContext): Promise<Outcome>;
}
