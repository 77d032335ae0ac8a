/** What hours of load do to memory and delay: samples, and the line through them. */
import { memoryByRole, type Role } from "./cpu.ts";
import type { CrowdSample } from "./crowd.ts";
import { percentiles } from "./statistics.ts";

export interface SoakSample {
  /** Since the measuring began. */
  atSeconds: number;
  memoryMb: Record<Role, number> | null;
  generatedDelayP50Ms: number | null;
  originalDelayP50Ms: number | null;
  /** Of all streams together, since the last sample. */
  frames: number;
}

export interface SoakReport {
  samples: SoakSample[];
  /** Slopes of least squares; null where less than five minutes are known: that would be noise. */
  memoryMbPerHour: Record<Role, number | null>;
  generatedDelayMsPerHour: number | null;
  originalDelayMsPerHour: number | null;
}

export function takeSample(
  atSeconds: number,
  crowds: readonly CrowdSample[],
  serverPid: number | undefined,
): SoakSample {
  const all = (pick: (each: CrowdSample) => number[]) => percentiles(crowds.flatMap(pick)).p50;
  return {
    atSeconds: Math.round(atSeconds),
    memoryMb: serverPid === undefined ? null : memoryByRole(serverPid),
    generatedDelayP50Ms: all((each) => each.generatedDelaysMs),
    originalDelayP50Ms: all((each) => each.originalDelaysMs),
    frames: crowds.reduce((sum, each) => sum + each.frames, 0),
  };
}

export function reportSoak(samples: readonly SoakSample[]): SoakReport {
  const slope = (value: (sample: SoakSample) => number | null | undefined) =>
    slopePerHour(
      samples.flatMap((sample) => {
        const y = value(sample);
        return y === null || y === undefined ? [] : [[sample.atSeconds, y] as const];
      }),
    );
  return {
    samples: [...samples],
    memoryMbPerHour: {
      server: slope((s) => s.memoryMb?.server),
      worker: slope((s) => s.memoryMb?.worker),
      engine: slope((s) => s.memoryMb?.engine),
    },
    generatedDelayMsPerHour: slope((s) => s.generatedDelayP50Ms),
    originalDelayMsPerHour: slope((s) => s.originalDelayP50Ms),
  };
}

const SHORTEST_SECONDS = 300;

/** Of points (seconds, value) in order; null where they say less about hours than about chance. */
export function slopePerHour(points: readonly (readonly [number, number])[]): number | null {
  const span = (points.at(-1)?.[0] ?? 0) - (points[0]?.[0] ?? 0);
  if (points.length < 3 || span < SHORTEST_SECONDS) return null;
  const mean = (pick: 0 | 1) => points.reduce((sum, p) => sum + p[pick], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const xy = points.reduce((sum, p) => sum + (p[0] - x) * (p[1] - y), 0);
  const xx = points.reduce((sum, p) => sum + (p[0] - x) ** 2, 0);
  return xx === 0 ? null : Math.round((xy / xx) * 3600 * 10) / 10;
}
