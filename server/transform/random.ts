/** Random numbers for streams, injected so that tests can choose them. */
import { randomInt } from "node:crypto";

export interface Random {
  /** Uniform integer from `min` up to, not including, `max`. */
  below(min: number, max: number): number;
}

export const secureRandom: Random = { below: (min, max) => randomInt(min, max) };
