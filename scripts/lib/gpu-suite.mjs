import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { capture, runLogged } from "./command.mjs";
import { findToolkit } from "./cuda-toolkit.mjs";
import { root } from "./paths.mjs";

const buildDir = join(root, "build", "native-cuda");
/** What the public implementation was recorded to do. */
const goldenDir = join(root, "test", "golden", "reference");

/** @returns {string[]} a line for each GPU that the driver sees */
function devices() {
  const { status, stdout } = capture("nvidia-smi", ["-L"]);
  return status === 0 ? stdout.split("\n").filter((line) => line.startsWith("GPU ")) : [];
}

/** @param {string[]} args @returns {string | null} the folder after --out */
function outFolder(args) {
  const at = args.indexOf("--out");
  const folder = at >= 0 ? args[at + 1] : undefined;
  return folder ? resolve(folder) : null;
}

/**
 * One command of the suite, whose last line is JSON.
 * @typedef {object} Step
 * @property {string} name
 * @property {string} command program below the build
 * @property {string[]} arguments
 * @property {Record<string, string>} [env] beside the environment
 */

/** @typedef {{ name: string, command: string, passed: boolean, values: Record<string, number> | null }} StepResult */

const STEP_TIMEOUT_MS = 20 * 60_000;

/** A transformer of Wan 1.3B's and 14B's sizes, at 512x512. */
const WAN = ["--tokens", "1024", "--kv", "6", "--text", "512"];
const WAN_1_3B = [...WAN, ..."--dim 1536 --ffn 8960 --heads 12 --layers 30".split(" ")];
const WAN_14B = [...WAN, ..."--dim 5120 --ffn 13824 --heads 40 --layers 4".split(" ")];

/** Of the autoencoders. */
const PICTURE = ["--width", "512", "--height", "512"];

/**
 * What is run, in this order: right first, then fast.
 * @param {boolean} quick leaves out what takes minutes
 * @param {number} gpus of this machine
 * @param {boolean} hasNccl whether it has NCCL
 * @returns {Step[]}
 */
export function suite(quick, gpus, hasNccl) {
  const on =
    (/** @type {string} */ backend) =>
    (/** @type {string} */ name, /** @type {string[]} */ ...rest) => ({
      name,
      command: "driftless-bench",
      arguments: [...rest, "--backend", backend, "--json"],
    });
  const bench = on("cuda");
  const withoutGraphs = (/** @type {Step} */ step) => ({
    ...step,
    env: { DRIFTLESS_CUDA_GRAPHS: "off" },
  });
  const withoutCudnn = (/** @type {Step} */ step) => ({ ...step, env: { DRIFTLESS_CUDNN: "off" } });
  const withoutGates = (/** @type {Step} */ step) => ({
    ...step,
    env: { DRIFTLESS_CUDA_GATES: "off" },
  });
  // One stream for autoencoder and transformer.
  const withoutOverlap = (/** @type {Step} */ step) => ({
    ...step,
    env: { DRIFTLESS_CUDA_OVERLAP: "off" },
  });
  // The transformer split in two, on one GPU and on two.
  const splits = [{ name: "split on one GPU", bench: on("cuda,cuda") }];
  const two = on("cuda:0,cuda:1");
  if (gpus > 1) splits.push({ name: "split on two GPUs", bench: two });
  if (gpus > 1 && hasNccl) {
    const overNccl = (/** @type {string} */ name, /** @type {string[]} */ ...rest) => ({
      ...two(name, ...rest),
      env: { DRIFTLESS_CUDA_TRANSPORT: "nccl" },
    });
    splits.push({ name: "split on two GPUs over NCCL", bench: overNccl });
  }
  const stream = ["stream", "--free", "--seconds", "5", "--sessions"];
  const sessions = quick ? [1, 4] : [1, 2, 4, 8, 16];
  const golden = (/** @type {string} */ dtype) => ({
    name: `golden ${dtype}`,
    command: "driftless-parity",
    arguments: ["--golden", goldenDir, "--backend", "cuda", "--dtype", dtype, "--json"],
  });
  const codec = (/** @type {string} */ name, /** @type {string[]} */ ...options) => ({
    name,
    command: "driftless-bench",
    arguments: ["encode", ...options, "--json"],
  });
  return [
    { name: "kernels", command: "driftless-cuda-device", arguments: ["--json"] },
    golden("f32"),
    golden("bf16"),
    golden("f16"),
    bench("agree f32", "agree", "--dtype", "f32", "--most", "0.1"),
    bench("agree bf16", "agree", "--dtype", "bf16", "--most", "2"),
    bench("agree f16", "agree", "--dtype", "f16", "--most", "0.5"),
    bench("agree fp8", "agree", "--dtype", "fp8", "--most", "4"),
    bench("agree fp8-kv", "agree", "--dtype", "fp8-kv", "--most", "4"),
    bench("agree two steps", "agree", "--dtype", "f32", "--steps", "2", "--most", "0.1"),
    ...splits.map((split) =>
      split.bench(`agree ${split.name}`, "agree", "--dtype", "f32", "--most", "0.1"),
    ),
    bench("roofline", "roofline", "--size", "8192", "--mib", "1024"),
    bench("dit 1.3B", "dit", ...WAN_1_3B),
    bench("dit 1.3B two rows", "dit", ...WAN_1_3B, "--rows", "2"),
    bench("dit 1.3B f16", "dit", ...WAN_1_3B, "--dtype", "f16"),
    bench("dit 1.3B fp8", "dit", ...WAN_1_3B, "--dtype", "fp8"),
    bench("dit 1.3B fp8-kv", "dit", ...WAN_1_3B, "--dtype", "fp8-kv"),
    withoutGraphs(bench("dit 1.3B without graphs", "dit", ...WAN_1_3B)),
    withoutCudnn(bench("dit 1.3B without cuDNN", "dit", ...WAN_1_3B)),
    withoutGates(bench("dit 1.3B without gated products", "dit", ...WAN_1_3B)),
    ...(quick ? [] : [bench("dit 14B, 4 of 40 layers", "dit", ...WAN_14B)]),
    bench("codec taehv", "codec", ...PICTURE),
    withoutCudnn(bench("codec taehv without cuDNN", "codec", ...PICTURE)),
    bench("codec wan", "codec", "--kind", "wan", ...PICTURE),
    withoutCudnn(bench("codec wan without cuDNN", "codec", "--kind", "wan", ...PICTURE)),
    ...sessions.map((n) => bench(`stream ${n}`, ...stream, String(n))),
    withoutGraphs(bench("stream 1 without graphs", ...stream, "1")),
    withoutOverlap(bench("stream 1 without overlap", ...stream, "1")),
    withoutOverlap(bench("stream 4 without overlap", ...stream, "4")),
    ...splits.map((split) => split.bench(`stream 1 ${split.name}`, ...stream, "1")),
    codec("encode by the processor"),
    codec("encode by the GPU where it can", "--gpu", "0"),
    codec("decode by the GPU where it can", "--decoder-gpu", "0"),
    bench("pictures", "pictures", "--width", "640", "--height", "360"),
    bench("pictures 720p", "pictures", "--width", "1280", "--height", "720"),
  ];
}

/**
 * How near the transformer comes to the product rate that was measured on the same card.
 * @param {StepResult[]} results
 * @returns {Record<string, number>} 0..1, by name of the step
 */
export function sharesOf(results) {
  const peak = results.find((result) => result.name === "roofline")?.values?.productTflops;
  if (!peak) return {};
  return Object.fromEntries(
    results.flatMap(({ name, values }) =>
      values?.gflops === undefined ? [] : [[name, values.gflops / 1000 / peak]],
    ),
  );
}

/**
 * Builds with CUDA for the GPU of this machine, compares the engine's pictures on it with the
 * CPU's, and measures.
 * @param {import("./tasks.mjs").TaskContext} context
 * @returns {Promise<number>} 0 also where there is no device
 */
export async function runGpuSuite({ args, env }) {
  const out = outFolder(args);
  if (!out) {
    console.error("expected --out DIR, the folder for the report");
    return 2;
  }
  const found = devices();
  if (found.length === 0) {
    console.log("\n*** skipped: no CUDA device (nvidia-smi -L lists none); nothing was run ***\n");
    return 0;
  }
  console.log(found.join("\n"));
  const { toolkit, tried } = findToolkit();
  if (!toolkit) {
    console.error(`there is a GPU but no nvcc (looked in ${tried.join(", ")})`);
    return 1;
  }
  mkdirSync(out, { recursive: true });
  const logFile = join(out, "build.log");
  const configure = [
    ...["-S", join(root, "native"), "-B", buildDir, "-G", "Ninja"],
    ...["-DDRIFTLESS_CUDA=ON", "-DDRIFTLESS_CUDA_ARCHITECTURES=native"],
    ...["-DDRIFTLESS_BUILD_ADDON=OFF", "-DDRIFTLESS_BUILD_TESTS=OFF"],
    `-DCMAKE_CUDA_COMPILER=${toolkit.nvcc}`,
  ];
  const targets = ["cuda-device", "cuda-report", "bench", "parity"].map((n) => `driftless-${n}`);
  console.log(`building with nvcc ${toolkit.version}, log in ${logFile}`);
  await runLogged("cmake", configure, { logFile, cwd: root, env });
  const build = ["--build", buildDir, "--parallel", "--target", ...targets];
  await runLogged("cmake", build, { logFile, cwd: root, env, append: true });

  const program = (/** @type {string} */ name) => join(buildDir, "Release", name);
  const machine = capture(program("driftless-cuda-report"), [], { env });
  console.log(machine.stdout);
  const steps = suite(
    args.includes("--quick"),
    found.length,
    machine.stdout.includes("NCCL: version"),
  );
  /** @type {StepResult[]} */
  const results = [];
  for (const { name, command, arguments: rest, env: own } of steps) {
    const { status, stdout, stderr } = capture(program(command), rest, {
      env: { ...env, ...own },
      timeoutMs: STEP_TIMEOUT_MS,
    });
    writeFileSync(join(out, `${name.replaceAll(" ", "-")}.log`), stdout + stderr);
    const lines = stdout.trimEnd().split("\n");
    const last = lines.at(-1) ?? "";
    const values = last.startsWith("{") ? JSON.parse(last) : null;
    const passed = status === 0 && values !== null;
    results.push({ name, command: [command, ...rest].join(" "), passed, values });
    console.log(`${passed ? "ok    " : "FAILED"} ${name}: ${lines.at(-2) ?? stderr.trim()}`);
  }
  const passed = machine.status === 0 && results.every((result) => result.passed);
  const report = { passed, devices: found, toolkit: toolkit.version, machine: machine.stdout };
  const whole = { ...report, shares: sharesOf(results), results };
  writeFileSync(join(out, "report.json"), `${JSON.stringify(whole, null, 2)}\n`);
  console.log(`${passed ? "passed" : "FAILED"}: ${join(out, "report.json")}`);
  return passed ? 0 : 1;
}
