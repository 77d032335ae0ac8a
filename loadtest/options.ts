import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";

/** What one load test run does; every count is a total, not a per-room number. */
export interface LoadOptions {
  publishers: number;
  viewers: number;
  rooms: number;
  /** Measured seconds, counted from the moment the last participant has joined. */
  seconds: number;
  /** Set by --hours: samples memory and delay all along, and reports their slopes. */
  soak: boolean;
  /** Processes that carry the simulated participants. */
  threads: number;
  /** Participants that join per second. */
  joinsPerSecond: number;
  /** How many of the publishers ask for a transform. */
  transforms: number;
  prompt: string;
  steps: number;
  /** A running server; undefined starts one on loopback for the length of the run. */
  url: string | undefined;
  /** Room token for a server with `auth.mode: token`. */
  token: string | undefined;
  /** Video file that publishers send; undefined takes the test clip, or a synthetic one. */
  clip: string | undefined;
  json: boolean;
}

export const usage = `Usage: npm run loadtest -- [options]

Simulated publishers and viewers over real ICE, DTLS and SRTP.

  --publishers N   participants that send VP8 and Opus                      (2)
  --viewers N      participants that only receive                           (4)
  --rooms N        rooms; participants are dealt round robin                (1)
  --seconds N      measured time after everybody has joined                 (20)
  --hours N        instead of --seconds: a soak that reports how memory and delay grow
  --threads N      processes that carry the participants            (processors - 1)
  --rate N         joins per second                                         (2)
  --transforms N   publishers that ask for a transform                      (all)
  --prompt TEXT    what they ask for                                        ("a watercolor painting")
  --steps N        denoising steps, 1 to 4                                  (1)
  --clip FILE      video file to send; default: the test clip, else a synthetic one
  --url URL        a running server; default: one is started on 127.0.0.1
  --token TOKEN    room token, where the server asks for one
  --json           one JSON object as the last line
  --help           this text`;

function wholeNumber(name: string, value: string, min: number, max: number): number {
  const n = Number(value);
  if (!Number.isInteger(n) || n < min || n > max) {
    throw new Error(`--${name}: expected a whole number from ${min} to ${max}, got "${value}"`);
  }
  return n;
}

function hoursInSeconds(text: string): number {
  const hours = Number(text);
  if (!(hours >= 0.005 && hours <= 336)) {
    throw new Error(`--hours: expected a number from 0.005 to 336, got "${text}"`);
  }
  return Math.round(hours * 3600);
}

/**
 * Reads the command line.
 * @throws Error naming the option, what was expected and what came
 */
export function parseOptions(argv: string[]): LoadOptions | "help" {
  const { values } = parseArgs({
    args: argv,
    options: {
      publishers: { type: "string", default: "2" },
      viewers: { type: "string", default: "4" },
      rooms: { type: "string", default: "1" },
      seconds: { type: "string" },
      hours: { type: "string" },
      threads: { type: "string" },
      rate: { type: "string", default: "2" },
      transforms: { type: "string" },
      prompt: { type: "string", default: "a watercolor painting" },
      steps: { type: "string", default: "1" },
      clip: { type: "string" },
      url: { type: "string" },
      token: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const publishers = wholeNumber("publishers", values.publishers, 1, 500);
  const rooms = wholeNumber("rooms", values.rooms, 1, 500);
  if (rooms > publishers) {
    throw new Error(
      `--rooms: expected at most one room per publisher (${publishers}), got ${rooms}`,
    );
  }
  const { hours } = values;
  if (hours !== undefined && values.seconds !== undefined) {
    throw new Error("--hours: expected no --seconds beside it");
  }
  return {
    publishers,
    rooms,
    soak: hours !== undefined,
    threads: wholeNumber(
      "threads",
      values.threads ?? String(Math.max(1, availableParallelism() - 1)),
      1,
      64,
    ),
    viewers: wholeNumber("viewers", values.viewers, 0, 5000),
    seconds:
      hours === undefined
        ? wholeNumber("seconds", values.seconds ?? "20", 1, 86_400)
        : hoursInSeconds(hours),
    joinsPerSecond: wholeNumber("rate", values.rate, 1, 100),
    transforms: wholeNumber("transforms", values.transforms ?? String(publishers), 0, publishers),
    prompt: values.prompt,
    steps: wholeNumber("steps", values.steps, 1, 4),
    clip: values.clip,
    url: values.url,
    token: values.token,
    json: values.json,
  };
}
