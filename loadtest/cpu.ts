import { readdirSync, readFileSync } from "node:fs";

/** One process of the server under test, as read from /proc. */
interface ProcessSample {
  pid: number;
  parent: number;
  command: string;
  cpuMs: number;
}

// USER_HZ is 100 on every Linux that Node supports (man 7 time).
const MS_PER_TICK = 10;

function readProcess(pid: number): ProcessSample | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const command = readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ");
    // The name in parentheses may hold spaces; what follows the last one is regular (man 5 proc).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const cpuMs = (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
    return { pid, parent: Number(fields[1]), command, cpuMs };
  } catch {
    return undefined; // The process ended between the listing and the reading.
  }
}

/** Role of a process of the server, told by its command line. */
export type Role = "server" | "worker" | "engine";

function roleOf(command: string): Role {
  if (command.includes("mediasoup-worker")) return "worker";
  return command.includes("server/engine/") ? "engine" : "server";
}

/** A process and all its descendants. */
function family(rootPid: number): ProcessSample[] {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((p) => p !== undefined);
  const pids = new Set([rootPid]);
  for (let grown = true; grown; ) {
    grown = false;
    for (const p of all) {
      if (!pids.has(p.pid) && pids.has(p.parent)) {
        pids.add(p.pid);
        grown = true;
      }
    }
  }
  return all.filter((p) => pids.has(p.pid));
}

function sumByRole(
  rootPid: number,
  value: (process: ProcessSample) => number,
): Record<Role, number> {
  const sum: Record<Role, number> = { server: 0, worker: 0, engine: 0 };
  for (const p of family(rootPid)) sum[roleOf(p.command)] += value(p);
  return sum;
}

/** CPU time so far of a process and all its descendants, by role, in ms. */
export function cpuByRole(rootPid: number): Record<Role, number> {
  return sumByRole(rootPid, (p) => p.cpuMs);
}

/** Resident memory of a process and all its descendants, by role, in MiB. */
export function memoryByRole(rootPid: number): Record<Role, number> {
  return sumByRole(rootPid, ({ pid }) => {
    try {
      const status = readFileSync(`/proc/${pid}/status`, "latin1");
      return Math.round(Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024);
    } catch {
      return 0;
    }
  });
}
