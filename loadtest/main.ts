import { setTimeout as sleep } from "node:timers/promises";
import nodeDataChannel from "node-datachannel";
import { type LoadClip, loadClip } from "./clip.ts";
import { cpuByRole, type Role } from "./cpu.ts";
import { type LoadOptions, parseOptions, usage } from "./options.ts";
import { Publisher } from "./publisher.ts";
import { buildReport, formatReport, type LoadReport } from "./report.ts";
import { type ServerProcess, startServer } from "./server-process.ts";
import { SignalingSession } from "./signaling.ts";
import { Viewer } from "./viewer.ts";

// Wall clock with the resolution of the monotonic one: delays are differences of such times.
const nowMs = () => performance.timeOrigin + performance.now();

interface Crowd {
  publishers: Publisher[];
  viewers: { viewer: Viewer; roomIndex: number }[];
  failures: string[];
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Lets everybody join at the given rate; who fails is noted, and the others go on. */
async function assemble(url: string, options: LoadOptions, clip: LoadClip): Promise<Crowd> {
  const crowd: Crowd = { publishers: [], viewers: [], failures: [] };
  const roomOf = (index: number) => `load-${index % options.rooms}`;
  const joining: Promise<void>[] = [];
  const join = async (what: string, start: (s: SignalingSession) => Promise<void>) => {
    joining.push(
      SignalingSession.open(url, options.token)
        .then(start)
        .catch((error: unknown) => void crowd.failures.push(`${what}: ${message(error)}`)),
    );
    await sleep(1000 / options.joinsPerSecond);
  };
  for (let i = 0; i < options.publishers; i += 1) {
    await join(`publisher ${i}`, async (session) => {
      const name = `publisher-${i}`;
      crowd.publishers.push(await Publisher.join(session, roomOf(i), name, clip, nowMs));
    });
  }
  for (let i = 0; i < options.viewers; i += 1) {
    await join(`viewer ${i}`, async (session) => {
      const viewer = await Viewer.join(session, roomOf(i), `viewer-${i}`, nowMs);
      crowd.viewers.push({ viewer, roomIndex: i % options.rooms });
    });
  }
  await Promise.all(joining);
  return crowd;
}

function cpuPercent(before: Record<Role, number>, after: Record<Role, number>, wallMs: number) {
  const share = (role: Role) => Math.round((100 * (after[role] - before[role])) / wallMs);
  return { server: share("server"), worker: share("worker"), engine: share("engine") };
}

/** Seconds between the last join (and request) and the first measured frame. */
const SETTLE_SECONDS = 3;

async function measure(options: LoadOptions, clip: LoadClip): Promise<LoadReport> {
  let server: ServerProcess | undefined;
  const crowd: Crowd = { publishers: [], viewers: [], failures: [] };
  try {
    if (!options.url) {
      server = await startServer({
        DRIFTLESS__LOG__LEVEL: "warn",
        DRIFTLESS__SFU__RTCMINPORT: "41500",
        DRIFTLESS__SFU__RTCMAXPORT: "41999",
      });
    }
    const url = options.url ?? server?.url ?? "";
    Object.assign(crowd, await assemble(url, options, clip));
    const requestedAtMs = nowMs();
    for (const [i, publisher] of crowd.publishers.slice(0, options.transforms).entries()) {
      try {
        await publisher.setTransform(options.prompt, options.steps, i);
      } catch (error) {
        crowd.failures.push(`transform of publisher ${i}: ${message(error)}`);
      }
    }
    await sleep(SETTLE_SECONDS * 1000);
    const startedAtMs = nowMs();
    const ownBefore = process.cpuUsage();
    const before = server ? cpuByRole(server.pid) : undefined;
    for (const { viewer } of crowd.viewers) viewer.startMeasuring();
    await sleep(options.seconds * 1000);
    const measuredMs = nowMs() - startedAtMs;
    const own = process.cpuUsage(ownBefore);
    return buildReport({
      options,
      measuredMs,
      media: `VP8 640x360 at ${clip.videoFps} fps and Opus, from ${clip.source}`,
      joinsMs: [...crowd.publishers, ...crowd.viewers.map((v) => v.viewer)].map((p) => p.joinMs),
      viewers: crowd.viewers.map(({ viewer }) => ({
        viewer,
        transformsRequestedAtMs: requestedAtMs,
      })),
      cpuPercent: server && before ? cpuPercent(before, cpuByRole(server.pid), measuredMs) : null,
      loadGeneratorCpuPercent: Math.round((own.user + own.system) / 10 / measuredMs),
      failures: crowd.failures,
    });
  } finally {
    for (const publisher of crowd.publishers) publisher.close();
    for (const { viewer } of crowd.viewers) viewer.close();
    nodeDataChannel.cleanup();
    await server?.stop();
  }
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") {
    console.log(usage);
    return 0;
  }
  const clip = await loadClip(options.clip);
  const report = await measure(options, clip);
  console.log(formatReport(report));
  if (options.json) console.log(JSON.stringify(report));
  return report.failures.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`loadtest: ${message(error)}`);
  process.exitCode = 2;
}
