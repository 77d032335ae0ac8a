/**
 * The processes that carry the simulated people. Processes and not worker threads, because the
 * library behind the peers keeps state that only one thread of a process may touch.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { LoadClip } from "./clip.ts";
import type { CrowdPart, CrowdResult, CrowdSample } from "./crowd.ts";
import type { LoadOptions } from "./options.ts";

type Order =
  | { what: "assemble"; part: CrowdPart; clip: LoadClip }
  | { what: "transforms" | "measure" | "sample" | "finish" };
export type CrewOrder = Order & { id: number };

interface Answer {
  id: number;
  data?: unknown;
  error?: string;
}

/** Beyond what joining takes; a child that hangs must not hang the run. */
const ANSWER_LIMIT_MS = 120_000;

const END_LIMIT_MS = 2000;

class Hand {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #next = 0;

  constructor() {
    this.#child = fork(fileURLToPath(new URL("./crowd-process.ts", import.meta.url)), {
      serialization: "advanced",
    });
    this.#child.on("message", (answer: Answer) => {
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
    this.#child.once("exit", (code, signal) => {
      const error = `a process of the load test ended (${code ?? signal})`;
      for (const [id, tell] of this.#waiting) tell({ id, error });
      this.#waiting.clear();
    });
  }

  async order<T>(order: Order, limitMs = ANSWER_LIMIT_MS): Promise<T> {
    const id = this.#next;
    this.#next += 1;
    const answer = await new Promise<Answer>((resolve) => {
      const timer = setTimeout(
        () => resolve({ id, error: `no answer to "${order.what}" within ${limitMs} ms` }),
        limitMs,
      );
      this.#waiting.set(id, (each) => {
        clearTimeout(timer);
        resolve(each);
      });
      if (this.#child.connected) this.#child.send({ ...order, id });
      else this.#waiting.get(id)?.({ id, error: "a process of the load test has ended" });
    });
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.data as T;
  }

  end(): void {
    if (this.#child.connected) this.#child.disconnect();
    // The peers' own threads may not let go; nothing that counts is left in the process.
    setTimeout(() => this.#child.kill("SIGKILL"), END_LIMIT_MS).unref();
    this.#child.unref();
  }
}

/** People dealt to processes, one after the other, so that each has a fair share of each kind. */
export function deal(count: number, hands: number, hand: number): number[] {
  return Array.from({ length: count }, (_, i) => i).filter((i) => i % hands === hand);
}

export class Crew {
  readonly #hands: Hand[];
  readonly #options: LoadOptions;

  constructor(options: LoadOptions) {
    this.#options = options;
    // One that has nobody to carry would only take memory.
    const needed = Math.max(1, Math.min(options.threads, options.publishers + options.viewers));
    this.#hands = Array.from({ length: needed }, () => new Hand());
  }

  async assemble(url: string, clip: LoadClip): Promise<void> {
    const { publishers, viewers, rooms, token, prompt, steps, transforms } = this.#options;
    const hands = this.#hands.length;
    const joinEveryMs = (1000 * hands) / this.#options.joinsPerSecond;
    const people = Math.ceil((publishers + viewers) / hands);
    await Promise.all(
      this.#hands.map((hand, n) => {
        const own = deal(publishers, hands, n);
        const part: CrowdPart = {
          ...{ url, token, rooms, joinEveryMs, prompt, steps },
          publishers: own,
          viewers: deal(viewers, hands, n),
          transforms: own.filter((i) => i < transforms),
        };
        return hand.order({ what: "assemble", part, clip }, ANSWER_LIMIT_MS + people * joinEveryMs);
      }),
    );
  }

  async askForTransforms(): Promise<void> {
    await this.#all("transforms");
  }

  async startMeasuring(): Promise<void> {
    await this.#all("measure");
  }

  sample(): Promise<CrowdSample[]> {
    return this.#all("sample");
  }

  finish(): Promise<CrowdResult[]> {
    return this.#all("finish");
  }

  close(): void {
    for (const hand of this.#hands) hand.end();
  }

  #all<T>(what: "transforms" | "measure" | "sample" | "finish"): Promise<T[]> {
    return Promise.all(this.#hands.map((hand) => hand.order<T>({ what })));
  }
}
