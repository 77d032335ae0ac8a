import { cpus } from "node:os";
import type { Role } from "./cpu.ts";
import type { ViewerResult } from "./crowd.ts";
import type { LoadOptions } from "./options.ts";
import type { SoakReport } from "./soak.ts";
import { type Percentiles, percentiles } from "./statistics.ts";
import type { StreamReport } from "./viewer.ts";

/** Figures of one kind of stream over all viewers. */
export interface TrackSummary {
  streams: number;
  /** Frames per second of one stream while measured. */
  fps: Percentiles;
  bitrateKbps: Percentiles;
  lossPercent: number | null;
  delayMs: Percentiles;
  freezes: number;
  freezeMs: number;
}

/** The whole result; the shape of the `--json` line. */
export interface LoadReport {
  rooms: number;
  publishers: number;
  viewers: number;
  transforms: number;
  seconds: number;
  hardware: string;
  media: string;
  joinMs: Percentiles;
  firstOriginalMs: Percentiles;
  /** From the later of join and request to the first generated packet, per viewer and track. */
  firstGeneratedMs: Percentiles;
  original: TrackSummary;
  generated: TrackSummary;
  audio: TrackSummary;
  /** Share of one core; null where the server is not a process of this run. */
  cpuPercent: Record<Role, number> | null;
  /** Of all processes of the load test together; 100 % is one core. */
  loadGeneratorCpuPercent: number;
  loadGenerator: LoadGenerator;
  /** Only of a run by --hours. */
  soak: SoakReport | null;
  failures: string[];
}

/** Whether the load test itself was the limit. */
export interface LoadGenerator {
  processes: number;
  /** How late each process got to its work, p95, ms. */
  loopLagP95Ms: number[];
  /** True: figures of delay and of frames say more about the load test than about the server. */
  isTheLimit: boolean;
}

/** A packet is sent each 10 ms: who is later than twice that sends in bursts, and reads late. */
export const LAG_LIMIT_MS = 20;

export interface Measured {
  options: LoadOptions;
  measuredMs: number;
  media: string;
  joinsMs: number[];
  viewers: ViewerResult[];
  transformsRequestedAtMs: number;
  cpuPercent: Record<Role, number> | null;
  loadGeneratorCpuPercent: number;
  loopLagP95Ms: number[];
  soak: SoakReport | null;
  failures: string[];
}

function summarize(reports: StreamReport[], measuredMs: number): TrackSummary {
  // Streams that were paused all along (the original under a generated track) say nothing.
  const flowing = reports.filter((r) => r.packets > 0);
  const sum = (pick: (r: StreamReport) => number) => flowing.reduce((s, r) => s + pick(r), 0);
  const expected = sum((r) => r.packets + r.lostPackets);
  return {
    streams: flowing.length,
    fps: percentiles(flowing.map((r) => (r.frames * 1000) / measuredMs)),
    bitrateKbps: percentiles(flowing.map((r) => (r.bytes * 8) / measuredMs)),
    lossPercent: expected > 0 ? (100 * sum((r) => r.lostPackets)) / expected : null,
    delayMs: percentiles(flowing.flatMap((r) => r.delaysMs)),
    freezes: sum((r) => r.freezes),
    freezeMs: Math.round(sum((r) => r.freezeMs)),
  };
}

/** Turns what the viewers counted into the report. */
export function buildReport(m: Measured): LoadReport {
  const all = m.viewers.flatMap(({ streams }) => streams);
  const firsts = (track: "original" | "generated") =>
    m.viewers.flatMap((viewer) => {
      const from =
        track === "generated"
          ? Math.max(viewer.joinedAtMs, m.transformsRequestedAtMs)
          : viewer.joinedAtMs;
      return viewer.streams
        .filter((r) => r.kind === "video" && r.track === track && r.firstFrameAtMs !== null)
        .map((r) => Math.max(0, (r.firstFrameAtMs ?? from) - from));
    });
  const video = (track: "original" | "generated") =>
    summarize(
      all.filter((r) => r.kind === "video" && r.track === track),
      m.measuredMs,
    );
  return {
    rooms: m.options.rooms,
    publishers: m.options.publishers,
    viewers: m.options.viewers,
    transforms: m.options.transforms,
    seconds: Math.round(m.measuredMs / 1000),
    hardware: `${cpus().length} x ${cpus()[0]?.model.trim() ?? "unknown CPU"}`,
    media: m.media,
    joinMs: percentiles(m.joinsMs),
    firstOriginalMs: percentiles(firsts("original")),
    firstGeneratedMs: percentiles(firsts("generated")),
    original: video("original"),
    generated: video("generated"),
    audio: summarize(
      all.filter((r) => r.kind === "audio"),
      m.measuredMs,
    ),
    cpuPercent: m.cpuPercent,
    loadGeneratorCpuPercent: m.loadGeneratorCpuPercent,
    loadGenerator: {
      processes: m.loopLagP95Ms.length,
      loopLagP95Ms: m.loopLagP95Ms,
      isTheLimit: m.loopLagP95Ms.some((lag) => lag > LAG_LIMIT_MS),
    },
    soak: m.soak,
    failures: m.failures,
  };
}

function triple(p: Percentiles): string {
  return p.samples === 0 ? "not measured" : `${p.p50} / ${p.p95} / ${p.p99}`;
}

function describeLag({ loopLagP95Ms, isTheLimit }: LoadGenerator): string {
  const lags = loopLagP95Ms.join(", ");
  return isTheLimit
    ? `${lags}: above ${LAG_LIMIT_MS}, so THE LOAD TEST ITSELF IS THE LIMIT`
    : `${lags} (the load test is not the limit)`;
}

function describeSoak(soak: SoakReport): [string, string][] {
  const rate = (value: number | null, unit: string) =>
    value === null ? "unknown" : `${value} ${unit}`;
  const { server, worker, engine } = soak.memoryMbPerHour;
  return [
    ["soak: samples", String(soak.samples.length)],
    [
      "soak: memory an hour",
      `server ${rate(server, "MiB")}, worker ${rate(worker, "MiB")}, engine ${rate(engine, "MiB")}`,
    ],
    [
      "soak: delay an hour",
      `original ${rate(soak.originalDelayMsPerHour, "ms")}, generated ${rate(soak.generatedDelayMsPerHour, "ms")}`,
    ],
  ];
}

/** The report as a table for people; percentiles are p50 / p95 / p99. */
export function formatReport(r: LoadReport): string {
  const track = (name: string, t: TrackSummary): [string, string][] => [
    [`${name}: streams that flowed`, String(t.streams)],
    [`${name}: frames/s`, triple(t.fps)],
    [`${name}: kbit/s`, triple(t.bitrateKbps)],
    [`${name}: packet loss`, t.lossPercent === null ? "-" : `${t.lossPercent.toFixed(2)} %`],
    [`${name}: capture to viewer, ms`, triple(t.delayMs)],
    [`${name}: freezes over 500 ms`, `${t.freezes} (${t.freezeMs} ms)`],
  ];
  const cpu = r.cpuPercent
    ? `server ${r.cpuPercent.server} %, worker ${r.cpuPercent.worker} %, engine ${r.cpuPercent.engine} %`
    : "not measured (server of another process tree)";
  const rows: [string, string][] = [
    ["rooms, publishers, viewers", `${r.rooms}, ${r.publishers}, ${r.viewers}`],
    ["transforms asked for", String(r.transforms)],
    ["media sent", r.media],
    ["hardware", r.hardware],
    ["join, ms", triple(r.joinMs)],
    ["first original picture, ms", triple(r.firstOriginalMs)],
    ["first generated picture, ms", triple(r.firstGeneratedMs)],
    ...track("original", r.original),
    ...track("generated", r.generated),
    ["audio: streams that flowed", String(r.audio.streams)],
    ["audio: kbit/s", triple(r.audio.bitrateKbps)],
    ["CPU (100 % = one core)", cpu],
    ["CPU of this load generator", `${r.loadGeneratorCpuPercent} %`],
    ["its processes' event-loop lag p95, ms", describeLag(r.loadGenerator)],
    ...(r.soak === null ? [] : describeSoak(r.soak)),
    ["failures", r.failures.length === 0 ? "none" : r.failures.join("; ")],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}
