/** The simulated people of one process: joins them, lets them run, and hands over what they saw. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { LoadClip } from "./clip.ts";
import { Publisher } from "./publisher.ts";
import { SignalingSession } from "./signaling.ts";
import { percentiles } from "./statistics.ts";
import { type StreamReport, Viewer } from "./viewer.ts";

/** Which of all people belong to this process, by their numbers. */
export interface CrowdPart {
  url: string;
  token: string | undefined;
  rooms: number;
  publishers: number[];
  viewers: number[];
  /** Between two joins of this process, ms. */
  joinEveryMs: number;
  prompt: string;
  steps: number;
  /** Those of `publishers` that are repainted. */
  transforms: number[];
}

export interface ViewerResult {
  joinedAtMs: number;
  streams: StreamReport[];
}

/** What a part of the crowd saw; plain data, so that it can travel between processes. */
export interface CrowdResult {
  joinsMs: number[];
  viewers: ViewerResult[];
  failures: string[];
  /** How late this process got to its work while measured, ms; above some 20 it is the limit. */
  loopLagP95Ms: number;
  cpuMs: number;
}

/** What was new since the last sample. */
export interface CrowdSample {
  generatedDelaysMs: number[];
  originalDelaysMs: number[];
  frames: number;
}

const LAG_RESOLUTION_MS = 10;

// Wall clock with the resolution of the monotonic one: delays are differences of such times.
export const nowMs = () => performance.timeOrigin + performance.now();

export class Crowd {
  readonly #part: CrowdPart;
  readonly #clip: LoadClip;
  readonly #publishers = new Map<number, Publisher>();
  readonly #viewers: Viewer[] = [];
  readonly #failures: string[] = [];
  readonly #lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  #cpuBefore = process.cpuUsage();

  constructor(part: CrowdPart, clip: LoadClip) {
    this.#part = part;
    this.#clip = clip;
  }

  /** Lets everybody join at the given rate; who fails is noted, and the others go on. */
  async assemble(): Promise<void> {
    const { url, token, rooms, joinEveryMs } = this.#part;
    const roomOf = (index: number) => `load-${index % rooms}`;
    const joining: Promise<void>[] = [];
    const join = async (what: string, start: (s: SignalingSession) => Promise<void>) => {
      joining.push(
        SignalingSession.open(url, token)
          .then(start)
          .catch((error: unknown) => void this.#failures.push(`${what}: ${message(error)}`)),
      );
      await sleep(joinEveryMs);
    };
    for (const i of this.#part.publishers) {
      await join(`publisher ${i}`, async (session) => {
        const name = `publisher-${i}`;
        this.#publishers.set(i, await Publisher.join(session, roomOf(i), name, this.#clip, nowMs));
      });
    }
    for (const i of this.#part.viewers) {
      await join(`viewer ${i}`, async (session) => {
        this.#viewers.push(await Viewer.join(session, roomOf(i), `viewer-${i}`, nowMs));
      });
    }
    await Promise.all(joining);
  }

  async askForTransforms(): Promise<void> {
    const { prompt, steps } = this.#part;
    for (const i of this.#part.transforms) {
      try {
        await this.#publishers.get(i)?.setTransform(prompt, steps, i);
      } catch (error) {
        this.#failures.push(`transform of publisher ${i}: ${message(error)}`);
      }
    }
  }

  startMeasuring(): void {
    for (const viewer of this.#viewers) viewer.startMeasuring();
    this.#cpuBefore = process.cpuUsage();
    this.#lag.enable();
  }

  sample(): CrowdSample {
    const taken = this.#viewers.flatMap((viewer) => viewer.takeRecent());
    const delays = (track: string) =>
      taken.filter((each) => each.track === track).flatMap((each) => each.delaysMs);
    return {
      generatedDelaysMs: delays("generated"),
      originalDelaysMs: delays("original"),
      frames: taken.reduce((sum, each) => sum + each.frames, 0),
    };
  }

  finish(): CrowdResult {
    const cpu = process.cpuUsage(this.#cpuBefore);
    const { p95 } = percentiles([this.#lag.percentile(95) / 1e6 - LAG_RESOLUTION_MS]);
    const people = [...this.#publishers.values(), ...this.#viewers];
    return {
      joinsMs: people.map((each) => each.joinMs),
      viewers: this.#viewers.map((viewer) => ({
        joinedAtMs: viewer.joinedAtMs,
        streams: viewer.reports(),
      })),
      failures: this.#failures,
      loopLagP95Ms: Math.max(0, p95 ?? 0),
      cpuMs: (cpu.user + cpu.system) / 1000,
    };
  }

  close(): void {
    this.#lag.disable();
    for (const publisher of this.#publishers.values()) publisher.close();
    for (const viewer of this.#viewers) viewer.close();
  }
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
