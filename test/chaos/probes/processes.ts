/** Processes of a server and what they hold, from /proc (man 5 proc). */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface ProcessInfo {
  pid: number;
  parent: number;
  command: string;
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // It ended between the listing and the reading.
  }
}

/** A process and all of its descendants that are alive. */
export function family(rootPid: number): ProcessInfo[] {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const stat = read(`/proc/${name}/stat`);
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      // Z: ended, but not yet taken notice of.
      if (stat === "" || fields[0] === "Z") return [];
      const command = read(`/proc/${name}/cmdline`).replaceAll("\0", " ");
      return [{ pid: Number(name), parent: Number(fields[1]), command }];
    });
  const pids = new Set([rootPid]);
  for (let grown = true; grown; ) {
    grown = false;
    for (const { pid, parent } of all) {
      if (!pids.has(parent) || pids.has(pid)) continue;
      pids.add(pid);
      grown = true;
    }
  }
  return all.filter(({ pid }) => pids.has(pid));
}

export type Part = "engine" | "worker";

const MARKS: Record<Part, string> = { engine: "server/engine/", worker: "mediasoup-worker" };

export function partsOf(rootPid: number, part: Part): number[] {
  return family(rootPid)
    .filter(({ pid, command }) => pid !== rootPid && command.includes(MARKS[part]))
    .map(({ pid }) => pid);
}

export function isAlive(pid: number): boolean {
  const stat = read(`/proc/${pid}/stat`);
  return stat !== "" && stat.slice(stat.lastIndexOf(")") + 2)[0] !== "Z";
}

/** Resident memory of one process, MiB; 0 when it is gone. */
export function residentMb(pid: number): number {
  const kb = /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1];
  return kb === undefined ? 0 : Math.round(Number(kb) / 1024);
}

/** Inodes of UDP sockets and of TCP sockets that listen. */
function boundInodes(): Set<string> {
  const inodes = new Set<string>();
  for (const table of ["udp", "udp6", "tcp", "tcp6"]) {
    for (const line of read(`/proc/net/${table}`).split("\n").slice(1)) {
      const fields = line.trim().split(/\s+/);
      const [state, inode] = [fields[3], fields[9]];
      if (inode === undefined || (table.startsWith("tcp") && state !== "0A")) continue;
      inodes.add(inode);
    }
  }
  return inodes;
}

/** How many UDP ports and listening TCP ports some processes hold. */
export function boundSockets(pids: readonly number[]): number {
  const bound = boundInodes();
  const held = new Set<string>();
  for (const pid of pids) {
    let names: string[] = [];
    try {
      names = readdirSync(`/proc/${pid}/fd`);
    } catch {
      continue; // It has ended.
    }
    for (const name of names) {
      try {
        const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${name}`))?.[1];
        if (inode !== undefined && bound.has(inode)) held.add(inode);
      } catch {
        // Closed meanwhile.
      }
    }
  }
  return held.size;
}
