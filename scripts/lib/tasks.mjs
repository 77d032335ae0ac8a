import { join } from "node:path";
import { runCheck } from "./check.mjs";
import { runForeground } from "./command.mjs";
import { runCudaCheck } from "./cuda-check.mjs";
import { runFuzz } from "./fuzz.mjs";
import { runGpuSuite } from "./gpu-suite.mjs";
import { nativeProgramsDir, root } from "./paths.mjs";
import { measureQuality } from "./quality.mjs";
import { runAllTests, runMocha, runNativeTests } from "./test-run.mjs";
import { makeThumbnails } from "./thumbnails.mjs";

/**
 * @typedef {object} TaskContext
 * @property {string} node path of the Node to run programs with
 * @property {NodeJS.ProcessEnv} env
 * @property {string[]} args what stood after `--`
 *
 * @typedef {object} Task
 * @property {string} profile what has to be set up before
 * @property {(args: string[]) => string} [profileFor] in place of `profile`, where arguments decide
 * @property {string} summary one line
 * @property {string} [usage] arguments that the task takes
 * @property {(context: TaskContext) => Promise<number>} run resolves to the exit code
 */

/** @param {string} entry a TypeScript file of this repository @returns {Task["run"]} */
const program = (entry) => (context) =>
  runForeground(context.node, [join(root, entry), ...context.args], {
    cwd: root,
    env: context.env,
  });

/** @param {string} name a program of native/tools @returns {Task["run"]} */
const nativeProgram = (name) => (context) =>
  runForeground(join(nativeProgramsDir, name), context.args, { cwd: root, env: context.env });

/** @type {Record<string, Task>} */
export const TASKS = {
  start: {
    profile: "start",
    summary: "Serve rooms; the last line of the start-up output is a room's address.",
    run: program("server/main.ts"),
  },
  test: {
    profile: "test",
    summary: "Run all tests: native (GoogleTest), then unit, media, end to end and chaos (mocha).",
    usage: "[mocha options, such as --grep WORD]",
    run: runAllTests,
  },
  "test:unit": {
    profile: "check",
    summary: "Run the unit tests.",
    usage: "[mocha options, such as --grep WORD]",
    run: (context) => runMocha(["unit"], context),
  },
  "test:native": {
    profile: "test",
    summary: "Run the native tests.",
    usage: "[--sanitize all | address,undefined,thread] [ctest options]",
    run: runNativeTests,
  },
  check: {
    profile: "check",
    summary: "Check format, lint and types, and run the unit tests.",
    usage: "[--fix: also correct what formatters can]",
    run: runCheck,
  },
  fuzz: {
    profile: "fuzz",
    summary: "Feed the readers and the stream's state machine with random bytes.",
    usage: "[--seconds N for each target, 60 by default] [TARGET...]",
    run: runFuzz,
  },
  e2e: {
    profile: "test",
    summary: "Let one real browser publish a webcam clip and another watch it; report what it saw.",
    usage:
      "[--json] [--seconds N] [--browser chromium|firefox] [--camera WIDTHxHEIGHT] [--clip FILE]\n" +
      "       npm run e2e -- --lips [--json] [--seconds N] [--browser chromium|firefox]",
    run: program("test/e2e/run.ts"),
  },
  parity: {
    profile: "tools",
    summary: "Compare the engine with recorded golden cases.",
    usage: "--golden DIR [--backend reference|cpu] [--json]",
    run: nativeProgram("driftless-parity"),
  },
  bench: {
    profile: "bench",
    summary:
      "Measure the engine: one forward pass (dit), whole streams (stream), cutting people out (matte, background), looks (look, restyle), and how good they are (quality); or what signalling costs in rooms of many (signaling).",
    usage:
      "dit --dim D --ffn F --heads H --layers L --tokens T --kv K --rows R --dtype auto [--json]\n" +
      "       npm run bench -- stream --model NAME --sessions S --seconds N [--json]\n" +
      "       npm run bench -- memory --model NAME --sessions S --steps N [--measure] [--json]\n" +
      "       npm run bench -- matte|background [--seconds N] [--json]\n" +
      "       npm run bench -- look --clip FILE --mode restyle --prompt TEXT --picture FILE.ppm\n" +
      "       npm run bench -- quality [--clip FILE]... [--model NAME|DIR] [--minutes N] [--out DIR] [--json]\n" +
      "       npm run bench -- signaling [--participants N] [--seconds N] [--joins N] [--json]",
    profileFor: (args) => (args[0] === "signaling" ? "loadtest" : "bench"),
    run: (context) => {
      const [what, ...args] = context.args;
      if (what === "quality") return measureQuality(context);
      if (what === "signaling") return program("loadtest/signaling/main.ts")({ ...context, args });
      return nativeProgram("driftless-bench")(context);
    },
  },
  thumbnails: {
    profile: "bench",
    summary: "Make the pictures on the preset buttons with the model itself.",
    usage: "--clip FILE (a short video of a person whose picture you may publish) [--only ID]...",
    run: makeThumbnails,
  },
  models: {
    profile: "tools",
    summary: "Import published checkpoints as model folders, verify and list models.",
    usage:
      "import --name NAME --dit FILE --vae FILE --text FILE --tokenizer FILE [--json]\n" +
      "       npm run models -- verify DIR [--json]\n       npm run models -- list [DIR] [--json]",
    run: nativeProgram("driftless-models"),
  },
  "cuda:check": {
    profile: "cuda",
    summary: "Prove of the CUDA backend what can be proved without a GPU; see docs/gpu.md.",
    usage: "[--json] [--quick] [--case TEXT]",
    run: runCudaCheck,
  },
  "gpu:suite": {
    profile: "tools",
    summary: "Build for the GPU of this machine and check the kernels on it; see docs/gpu.md.",
    usage: "--out DIR",
    run: runGpuSuite,
  },
  chaos: {
    profile: "chaos",
    summary: "Break things in a running call, and report what viewers saw of it and what leaked.",
    usage: "[--json] [--short] [--case NAME]...",
    run: program("test/chaos/run.ts"),
  },
  loadtest: {
    profile: "loadtest",
    summary: "Simulate publishers and viewers against a server and report delays and loss.",
    usage:
      "--publishers P --transforms T --viewers V --rooms R --seconds N [--hours N] [--threads N] [--json]",
    run: program("loadtest/main.ts"),
  },
};
