/**
 * `npm run bench -- signaling [--participants 50] [--seconds 10] [--joins 10] [--json]`: what
 * signalling costs in rooms of 10, 25, … up to so many participants, without media.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { measureRoom, type RoomFigures } from "./measure.ts";

const STEPS = [10, 25, 50, 100, 200];

interface Options {
  participants: number;
  seconds: number;
  joins: number;
  json: boolean;
}

function readArguments(argv: string[]): Options {
  const { values } = parseArgs({
    args: argv,
    options: {
      participants: { type: "string", default: "50" },
      seconds: { type: "string", default: "10" },
      joins: { type: "string", default: "10" },
      json: { type: "boolean", default: false },
    },
  });
  const whole = (name: "participants" | "seconds" | "joins", min: number, max: number) => {
    const n = Number(values[name]);
    if (Number.isInteger(n) && n >= min && n <= max) return n;
    throw new Error(
      `--${name}: expected a whole number from ${min} to ${max}, got "${values[name]}"`,
    );
  };
  return {
    participants: whole("participants", 2, 500),
    seconds: whole("seconds", 1, 600),
    joins: whole("joins", 1, 200),
    json: values.json,
  };
}

/** Rooms of the usual sizes below the largest, then the largest: how the cost grows. */
function sizes(largest: number): number[] {
  return [...STEPS.filter((n) => n < largest), largest];
}

function describe(r: RoomFigures): string {
  const { quiet, muting, join } = r;
  const kb = (bytes: number) => `${(bytes / 1000).toFixed(1)} kB`;
  return [
    `room of ${r.participants}`,
    `  quiet: ${quiet.messagesPerSecond} messages, ${kb(quiet.bytesPerSecond)} a second in all; a client ${quiet.perClient.messagesPerSecond}, ${quiet.perClient.bytesPerSecond} bytes; server ${quiet.serverCpuPercent} % of a core`,
    `  muting (${muting.togglesPerSecond} a second): ${muting.messagesPerSecond} messages, ${kb(muting.bytesPerSecond)} a second in all; a client ${muting.perClient.messagesPerSecond}, ${kb(muting.perClient.bytesPerSecond)}; ${muting.messagesPerToggle} messages each; server ${muting.serverCpuPercent} %, worker ${muting.workerCpuPercent} %`,
    `  one more viewer: answer ${join.replyMs.p50} / ${join.replyMs.p95} ms, all tracks ${join.allTracksMs.p50} / ${join.allTracksMs.p95} ms (p50 / p95); ${join.messages} messages, ${kb(join.bytes)}; server ${join.serverCpuMs} ms of processor; refused at first ${join.refusedTracks} of ${join.announcedTracks} tracks, incomplete ${join.incomplete}`,
  ].join("\n");
}

try {
  const options = readArguments(process.argv.slice(2));
  const rooms: RoomFigures[] = [];
  for (const participants of sizes(options.participants)) {
    const figures = await measureRoom({ ...options, participants });
    console.log(describe(figures));
    rooms.push(figures);
  }
  const hardware = `${cpus().length} x ${cpus()[0]?.model.trim() ?? "unknown CPU"}`;
  if (options.json) console.log(JSON.stringify({ hardware, seconds: options.seconds, rooms }));
} catch (error) {
  console.error(`bench signaling: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 2;
}
