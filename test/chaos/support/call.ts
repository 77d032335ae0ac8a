/** The call that every case breaks: somebody who hides the room, somebody repainted, and a viewer. */
import { setTimeout as sleep } from "node:timers/promises";
import { type ServerProcess, startServer } from "../../../loadtest/server-process.ts";
import { type Baseline, findLeaks, takeBaseline } from "../probes/leaks.ts";
import { Pictures } from "../probes/pictures.ts";
import { family, isAlive } from "../probes/processes.ts";
import { Caller, type CallerOptions, type Transform } from "./caller.ts";
import { hiddenRoomClip, openRoomClip } from "./clip.ts";
import type { Outcome } from "./types.ts";

export const HIDDEN = "hidden";
export const OPEN = "open";
export const VIEWER = "viewer";

export const BACKGROUND: Transform = { mode: "background", scene: "gradient", strength: 0 };
export const RESTYLE: Transform = { mode: "restyle", prompt: "watercolour painting on paper" };

const FIRST_FRAMES_LIMIT_MS = 40_000;

export const nowMs = (): number => performance.timeOrigin + performance.now();

export interface CallOptions {
  env?: Record<string, string>;
  /** What the person who hides the room asks for. */
  hiddenTransform?: Transform;
}

/** What has to hold besides that nothing leaks and no hidden room is seen. */
export interface Bounds {
  longestGapMs?: number;
  renegotiations?: number;
}

/**
 * A case: starts the call, breaks it, and looks at what came of it. What `body` throws is a finding
 * like any other.
 */
export async function breakCall(
  options: CallOptions,
  bounds: Bounds,
  body: (call: Call) => Promise<void>,
): Promise<Outcome> {
  const call = await Call.start(options);
  try {
    await body(call);
  } catch (error) {
    call.notes.push(error instanceof Error ? error.message : String(error));
  }
  return call.finish(bounds);
}

/** Calls that have not ended. */
const running = new Set<Call>();

/** Ends what a case that ran beyond its limit has left open. */
export async function abandonAll(): Promise<void> {
  await Promise.all([...running].map((call) => call.abandon()));
}

export class Call {
  readonly server: ServerProcess;
  readonly pictures = new Pictures([HIDDEN], nowMs);
  readonly callers: Caller[] = [];
  readonly notes: string[] = [];
  /** How often the fault was made. */
  tried = 0;
  /** When everything had begun to flow. */
  settledAtMs = 0;
  readonly #baseline: Baseline;
  readonly #pids = new Set<number>();
  readonly #phases: { name: string; fromMs: number }[] = [];
  #announcedBefore = 0;

  private constructor(server: ServerProcess) {
    this.server = server;
    this.#baseline = takeBaseline(server.pid);
    running.add(this);
  }

  /** Resolves when the viewer sees generated frames of both. */
  static async start(options: CallOptions = {}): Promise<Call> {
    const server = await startServer({
      DRIFTLESS__LOG__LEVEL: "warn",
      DRIFTLESS__SFU__WORKERS: "1",
      DRIFTLESS__ROOMS__EMPTYSECONDS: "0.3",
      ...options.env,
    });
    const call = new Call(server);
    try {
      await call.enter({
        name: HIDDEN,
        clip: await hiddenRoomClip(),
        hideOriginal: true,
        transform: options.hiddenTransform ?? BACKGROUND,
      });
      await call.enter({ name: OPEN, clip: await openRoomClip(), transform: RESTYLE });
      const viewer = await call.enter({ name: VIEWER, pictures: call.pictures });
      const begunAtMs = nowMs();
      await call.until("generated frames of both", FIRST_FRAMES_LIMIT_MS, () =>
        [HIDDEN, OPEN].every((who) => call.pictures.count(who, begunAtMs, "generated") > 3),
      );
      // What the first pictures bring with them (the end of the originals) is no fault.
      await sleep(500);
      call.settledAtMs = nowMs();
      call.phase("call");
      call.#announcedBefore = viewer.announced;
    } catch (error) {
      await call.abandon();
      throw error;
    }
    return call;
  }

  async enter(options: Partial<CallerOptions> & { name: string }): Promise<Caller> {
    const { url } = this.server;
    const caller = await Caller.enter({ url, roomId: "chaos", nowMs, ...options });
    this.callers.push(caller);
    return caller;
  }

  caller(name: string): Caller {
    const found = this.callers.find((each) => each.name === name);
    if (found === undefined) throw new Error(`expected ${name} in the call`);
    return found;
  }

  /** Tracks that the viewer had to set up since the call had settled. */
  get renegotiations(): number {
    return this.caller(VIEWER).announced - this.#announcedBefore;
  }

  /** Throws what was waited for. */
  async until(what: string, limitMs: number, look: () => boolean): Promise<void> {
    const endMs = performance.now() + limitMs;
    while (!look()) {
      if (performance.now() > endMs) throw new Error(`expected ${what} within ${limitMs} ms`);
      for (const { pid } of family(this.server.pid)) this.#pids.add(pid);
      await sleep(50);
    }
  }

  /** Both are seen live again, whatever of them is shown. */
  async flowsAgain(sinceMs: number, limitMs: number): Promise<void> {
    await this.until("new frames of both", limitMs, () =>
      [HIDDEN, OPEN].every((who) => this.pictures.count(who, sinceMs) > 3),
    );
  }

  longestGapMs(toMs = nowMs()): number {
    return Math.max(
      ...[HIDDEN, OPEN].map((who) => this.pictures.longestGapMs(who, this.settledAtMs, toMs)),
    );
  }

  /** Everybody leaves, the server ends; says what was seen and what stayed behind. */
  async finish(holds: Bounds): Promise<Outcome> {
    const { notes, renegotiations, tried } = this;
    const longestGapMs = this.longestGapMs();
    for (const { pid } of family(this.server.pid)) this.#pids.add(pid);
    for (const caller of this.callers) caller.close();
    const leaks = await findLeaks(this.server.url, this.#baseline);
    notes.push(...leaks.notes);
    const end = await this.server.stop();
    running.delete(this);
    const leaked = leaks.count + this.#leftBehind();
    if (end.code !== 0) notes.push(`expected exit code 0, got ${end.code ?? end.signal}`);
    const { pictures, raw, rawAtMs } = await this.pictures.look();
    if (pictures === 0) notes.push("expected pictures of the hidden room's owner, saw none");
    if (raw > 0) {
      const whens = [...new Set(rawAtMs.map((at) => this.phaseAt(at)))].join(", ");
      notes.push(`${raw} of ${pictures} pictures show the hidden room (${whens})`);
    }
    const atMost = (what: string, value: number, bound: number | undefined) => {
      if (bound === undefined || value <= bound) return;
      notes.push(`${what}: expected at most ${bound}, got ${value}`);
    };
    atMost("longest gap, ms", longestGapMs, holds.longestGapMs);
    atMost("renegotiations", renegotiations, holds.renegotiations);
    const ok = notes.length === 0 && leaked === 0;
    return { tried, longestGapMs, rawFrames: raw, renegotiations, leaked, ok, notes };
  }

  /** From now on, something else is done: a finding tells when it was. */
  phase(name: string): void {
    this.#phases.push({ name, fromMs: nowMs() });
  }

  /** What was done at a moment. */
  phaseAt(atMs: number): string {
    const phase = this.#phases.findLast(({ fromMs }) => fromMs <= atMs);
    return phase?.name ?? "before the call had settled";
  }

  /** Ends everything without looking. */
  async abandon(): Promise<void> {
    running.delete(this);
    for (const caller of this.callers) caller.close();
    await this.server.stop();
  }

  #leftBehind(): number {
    const left = [...this.#pids].filter(isAlive);
    if (left.length > 0) this.notes.push(`processes outlive the server: ${left.join(", ")}`);
    return left.length;
  }
}
