import { setTimeout as sleep } from "node:timers/promises";
import { loadClip } from "./clip.ts";
import { cpuByRole, type Role } from "./cpu.ts";
import { Crew } from "./crew.ts";
import { nowMs } from "./crowd.ts";
import { type LoadOptions, parseOptions, usage } from "./options.ts";
import { buildReport, formatReport, type LoadReport } from "./report.ts";
import { type ServerProcess, startServer } from "./server-process.ts";
import { reportSoak, type SoakSample, takeSample } from "./soak.ts";

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function cpuPercent(before: Record<Role, number>, after: Record<Role, number>, wallMs: number) {
  const share = (role: Role) => Math.round((100 * (after[role] - before[role])) / wallMs);
  return { server: share("server"), worker: share("worker"), engine: share("engine") };
}

/** Seconds between the last join (and request) and the first measured frame. */
const SETTLE_SECONDS = 3;
/** Of a soak, at most: what hours of samples take stays small. */
const SAMPLES = 240;
const SAMPLE_SECONDS = { least: 5, most: 300 };

async function measure(options: LoadOptions): Promise<LoadReport> {
  // Encoded once, for all processes.
  const clip = await loadClip(options.clip);
  let server: ServerProcess | undefined;
  const crew = new Crew(options);
  try {
    if (!options.url) {
      server = await startServer({
        DRIFTLESS__LOG__LEVEL: "warn",
        DRIFTLESS__LIMITS__CONNECTIONSPERMINUTE: "10000",
        DRIFTLESS__LIMITS__MAXPARTICIPANTSPERROOM: String(
          Math.max(50, options.publishers + options.viewers),
        ),
      });
    }
    await crew.assemble(options.url ?? server?.url ?? "", clip);
    const transformsRequestedAtMs = nowMs();
    await crew.askForTransforms();
    await sleep(SETTLE_SECONDS * 1000);
    const startedAtMs = nowMs();
    const before = server ? cpuByRole(server.pid) : undefined;
    await crew.startMeasuring();
    const samples: SoakSample[] = [];
    if (options.soak) await soak(options, crew, server, samples);
    else await sleep(options.seconds * 1000);
    const measuredMs = nowMs() - startedAtMs;
    const after = server ? cpuByRole(server.pid) : undefined;
    const crowds = await crew.finish();
    return buildReport({
      options,
      measuredMs,
      media: `VP8 640x360 at ${clip.videoFps} fps and Opus, from ${clip.source}`,
      joinsMs: crowds.flatMap((each) => each.joinsMs),
      viewers: crowds.flatMap((each) => each.viewers),
      transformsRequestedAtMs,
      cpuPercent: before && after ? cpuPercent(before, after, measuredMs) : null,
      loadGeneratorCpuPercent: Math.round(
        (100 * crowds.reduce((sum, each) => sum + each.cpuMs, 0)) / measuredMs,
      ),
      loopLagP95Ms: crowds.map((each) => each.loopLagP95Ms),
      soak: options.soak ? reportSoak(samples) : null,
      failures: crowds.flatMap((each) => each.failures),
    });
  } finally {
    crew.close();
    await server?.stop();
  }
}

/** Samples all along; a server that dies meanwhile ends the run. */
async function soak(
  options: LoadOptions,
  crew: Crew,
  server: ServerProcess | undefined,
  samples: SoakSample[],
): Promise<void> {
  const startedAtMs = performance.now();
  const { least, most } = SAMPLE_SECONDS;
  const everySeconds = Math.min(Math.max(options.seconds / SAMPLES, least), most);
  const died = server?.ended.then((end) => {
    throw new Error(`the server ended (${end.code ?? end.signal}):\n${server.log().slice(-2000)}`);
  });
  died?.catch(() => undefined);
  for (;;) {
    const elapsed = (performance.now() - startedAtMs) / 1000;
    if (elapsed >= options.seconds) return;
    const pause = sleep(1000 * Math.min(everySeconds, options.seconds - elapsed));
    await (died === undefined ? pause : Promise.race([pause, died]));
    const atSeconds = (performance.now() - startedAtMs) / 1000;
    const sample = takeSample(atSeconds, await crew.sample(), server?.pid);
    samples.push(sample);
    console.log(JSON.stringify(sample));
  }
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") {
    console.log(usage);
    return 0;
  }
  const report = await measure(options);
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
