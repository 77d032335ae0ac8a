/** Whether a server is, after everybody has left, what it was before anybody came. */
import { setTimeout as sleep } from "node:timers/promises";
import { boundSockets, family, residentMb } from "./processes.ts";

export interface Baseline {
  pid: number;
  processes: number;
  sockets: number;
  memoryMb: number;
}

/** What was left behind; `count` is what a report calls leaked. */
export interface Leaks {
  count: number;
  notes: string[];
  memoryGrowthMb: number;
}

/** Rooms, people and tracks: nothing of them may be there in an empty server. */
const EMPTY_GAUGES = ["rooms", "participants", "producers", "consumers", "signalling_connections"];
/** Compiled code and warmed-up heaps are no leak; a process that was replaced starts anew. */
const MEMORY_BOUND_MB = 150;
const SETTLE_LIMIT_MS = 12_000;

export function takeBaseline(pid: number): Baseline {
  const members = family(pid);
  return {
    pid,
    processes: members.length,
    sockets: boundSockets(members.map((each) => each.pid)),
    memoryMb: residentMb(pid),
  };
}

/** Waits for rooms to be removed, then compares. */
export async function findLeaks(url: string, baseline: Baseline): Promise<Leaks> {
  const endMs = performance.now() + SETTLE_LIMIT_MS;
  for (;;) {
    const leaks = await compare(url, baseline);
    if (leaks.count === 0 || performance.now() > endMs) return leaks;
    await sleep(250);
  }
}

async function compare(url: string, baseline: Baseline): Promise<Leaks> {
  const members = family(baseline.pid);
  const notes: string[] = [];
  let count = 0;
  const add = (what: string, more: number) => {
    if (more <= 0) return;
    count += more;
    notes.push(`${more} more ${what} than before the call`);
  };
  add("processes", members.length - baseline.processes);
  add("sockets", boundSockets(members.map((each) => each.pid)) - baseline.sockets);
  for (const [name, value] of Object.entries(await readGauges(url))) add(name, value);
  const memoryGrowthMb = residentMb(baseline.pid) - baseline.memoryMb;
  if (memoryGrowthMb > MEMORY_BOUND_MB) {
    count += 1;
    notes.push(`memory grew by ${memoryGrowthMb} MiB (at most ${MEMORY_BOUND_MB})`);
  }
  return { count, notes, memoryGrowthMb };
}

/** Sums over labels. A server that does not answer has nothing that could be counted. */
async function readGauges(url: string): Promise<Record<string, number>> {
  const reply = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(3000) }).catch(
    () => null,
  );
  if (reply === null) return { "unanswered requests for metrics": 1 };
  if (!reply.ok) return { [`answers ${reply.status} to a request for metrics`]: 1 };
  return sumGauges(await reply.text());
}

/** Exported for its test. */
export function sumGauges(text: string): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const line of text.split("\n")) {
    const [, name = "", value] = /^driftless_([a-z_]+)(?:\{[^}]*\})? (\S+)$/.exec(line) ?? [];
    if (EMPTY_GAUGES.includes(name)) sums[name] = (sums[name] ?? 0) + Number(value);
  }
  return sums;
}
