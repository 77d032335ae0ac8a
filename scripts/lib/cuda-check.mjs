import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";
import { capture } from "./command.mjs";
import { findCublasLt, findCudnn, findNccl, findToolkit, nvrtcFolders } from "./cuda-toolkit.mjs";
import { nativeBuildDir, nativeProgramsDir, root } from "./paths.mjs";
import { fingerprint, listFiles } from "./stamps.mjs";

/** A100, RTX 30, RTX 40 and L40S, H100, B200, RTX 50. */
const ARCHS = ["80", "86", "89", "90a", "100a", "120a"];

/** For which the checks of the kernels are compiled too; the kernels of the backend are for all. */
const CHECKED_ARCHS = ["80", "90a"];

/** Kernels in which a register that does not fit is a failure, not a remark. */
const HOT = [
  "attention_mma_kernel",
  "conv_mma_kernel",
  "conv_staged_kernel",
  "layer_norm_kernel",
  "rms_norm_kernel",
  "norm_rope_append_kernel",
  "read_keys_kernel",
  "map_kernel",
];

/** Form of what is kept of a compilation. */
const RECORD = "2: with shared memory";

/** nvcc takes about a gigabyte of memory per file. */
const MOST_JOBS = 2;

const nativeDir = join(root, "native");
const buildDir = join(root, "build", "cuda");

/**
 * What the assembler says about one compiled kernel.
 * @typedef {object} Resources
 * @property {string} arch
 * @property {string} kernel
 * @property {number} registers per thread
 * @property {number} sharedBytes of a block, by declaration; what a launch adds is not in it
 * @property {number} spillBytes stored to and loaded from memory for want of registers
 */

/**
 * @param {string} mangled
 * @returns {string} the kernel's own name
 */
function kernelName(mangled) {
  for (const match of mangled.matchAll(/\d+/g)) {
    const start = match.index + match[0].length;
    const name = mangled.slice(start, start + Number(match[0]));
    if (name.endsWith("_kernel")) return name;
  }
  return mangled;
}

/**
 * @param {string} text what `ptxas -v` printed
 * @returns {Resources[]}
 */
export function parseResources(text) {
  /** @type {Resources[]} */
  const all = [];
  /** @type {Resources | undefined} */
  let current;
  for (const line of text.split("\n")) {
    const entry = line.match(/Compiling entry function '(\w+)' for 'sm_(\w+)'/);
    if (entry) {
      const [, mangled = "", arch = ""] = entry;
      current = { arch, kernel: kernelName(mangled), registers: 0, sharedBytes: 0, spillBytes: 0 };
      all.push(current);
    }
    const spill = line.match(/(\d+) bytes spill stores, (\d+) bytes spill loads/);
    if (spill && current) current.spillBytes += Number(spill[1]) + Number(spill[2]);
    const used = line.match(/Used (\d+) registers/);
    if (used && current) {
      current.registers = Number(used[1]);
      current.sharedBytes = Number(line.match(/(\d+) bytes smem/)?.[1] ?? 0);
    }
  }
  return all;
}

/**
 * @param {string} command
 * @param {string[]} args
 * @returns {Promise<{ code: number, output: string }>}
 */
function runQuietly(command, args) {
  return new Promise((resolve) => {
    const child = spawn("nice", ["-n", "10", command, ...args], { cwd: root });
    let output = "";
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (output += data));
    child.on("error", (error) => resolve({ code: 127, output: error.message }));
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

/** The files that hold all kernels, and the backend. */
function cudaSources() {
  const backend = join(nativeDir, "src", "ops", "cuda");
  const checks = join(nativeDir, "test", "cuda");
  return [
    ...readdirSync(backend).map((name) => join(backend, name)),
    ...readdirSync(checks)
      .filter((name) => name.endsWith("_checks.cc") || name === "kernel_cases.cc")
      .map((name) => join(checks, name)),
    join(checks, "runner", "main.cc"),
  ].filter((file) => file.endsWith(".cc"));
}

/**
 * Compiles one file, or finds that nothing has changed.
 * @param {import("./cuda-toolkit.mjs").Toolkit} toolkit
 * @param {string} source
 * @param {string} inputs fingerprint of everything the file may include
 * @returns {Promise<{ object: string, resources: Resources[], failure: string | null }>}
 */
async function compile(toolkit, source, inputs) {
  const archs = source.startsWith(join(nativeDir, "test")) ? CHECKED_ARCHS : ARCHS;
  const object = join(buildDir, `${basename(source, ".cc")}.o`);
  const record = `${object}.json`;
  const flags = [
    ...["-std=c++17", "-O3", "-Xptxas", "-v", "-x", "cu", "-c"],
    ...["-I", join(nativeDir, "src"), "-I", join(nativeDir, "test")],
    ...archs.flatMap((arch) => ["-gencode", `arch=compute_${arch},code=sm_${arch}`]),
  ];
  const key = fingerprint([source], [inputs, toolkit.version, ...flags, RECORD]);
  if (existsSync(object) && existsSync(record)) {
    const known = JSON.parse(readFileSync(record, "utf8"));
    if (known.key === key) return { object, resources: known.resources, failure: null };
  }
  const { code, output } = await runQuietly(toolkit.nvcc, [...flags, source, "-o", object]);
  if (code !== 0) return { object, resources: [], failure: output };
  const resources = parseResources(output);
  writeFileSync(record, JSON.stringify({ key, resources }));
  return { object, resources, failure: null };
}

/**
 * @template T, R
 * @param {T[]} items
 * @param {(item: T) => Promise<R>} work
 * @returns {Promise<R[]>}
 */
async function inParallel(items, work) {
  /** @type {R[]} */
  const results = [];
  const queue = items.map((item, index) => ({ item, index }));
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      results[next.index] = await work(next.item);
    }
  };
  await Promise.all(Array.from({ length: MOST_JOBS }, worker));
  return results;
}

/**
 * Compiles, links and starts the backend.
 * @param {import("./cuda-toolkit.mjs").Toolkit} toolkit
 * @returns {Promise<{ resources: Resources[], failures: string[] }>}
 */
async function checkBuild(toolkit) {
  mkdirSync(buildDir, { recursive: true });
  const shared = ["src/core", "src/ops", "src/models", "src/stream", "test/cuda"];
  const headers = listFiles(shared.map((name) => join(nativeDir, name))).filter((file) =>
    /\.(h|cuh)$/.test(file),
  );
  const inputs = fingerprint(headers);
  const compiled = await inParallel(cudaSources(), (source) => compile(toolkit, source, inputs));
  const failures = compiled.flatMap(({ failure }) => (failure === null ? [] : [failure]));
  const resources = compiled.flatMap((file) => file.resources);
  if (failures.length > 0) return { resources, failures };

  const program = join(buildDir, "driftless-cuda-device");
  const libraries = ["stream", "models", "ops", "core"].map((layer) =>
    join(nativeBuildDir, `libdriftless_${layer}.a`),
  );
  const objects = compiled.map(({ object }) => object);
  const link = await runQuietly(toolkit.nvcc, [
    ...["-cudart", "static", "-o", program, ...objects, ...libraries],
    ...["-ldnnl", "-lgomp", "-lz", "-ldl", "-lpthread"],
  ]);
  if (link.code !== 0) return { resources, failures: [link.output] };
  // A machine without a driver must be able to start the program.
  const started = capture(program, ["--list"]);
  if (started.status !== 0) failures.push(`${program} --list: ${started.stderr}`);
  return { resources, failures };
}

/**
 * Compares our declarations of a library with its header, and the library with both.
 * @param {import("./cuda-toolkit.mjs").Toolkit} toolkit
 * @param {{ include: string, library: string }} found
 * @param {string} header program below test/cuda/header
 * @param {string[]} sources below src/ops/cuda
 * @param {string[]} [folders] of libraries that it opens
 * @returns {Promise<{ found: string, failure: string | null }>}
 */
async function checkHeader(toolkit, found, header, sources, folders = []) {
  const program = join(buildDir, basename(header, ".cc"));
  const { code, output } = await runQuietly("g++", [
    ...["-std=c++17", "-I", found.include, "-I", toolkit.include, "-I", join(nativeDir, "src")],
    join(nativeDir, "test", "cuda", "header", header),
    ...sources.map((source) => join(nativeDir, "src", "ops", "cuda", source)),
    ...[found.library, `-Wl,-rpath,${dirname(found.library)}`, "-ldl", "-o", program],
  ]);
  if (code !== 0) return { found: found.library, failure: output };
  const path = [...folders, dirname(found.library)].join(delimiter);
  const run = capture(program, [found.library], {
    env: { ...process.env, LD_LIBRARY_PATH: path },
    // A plan takes cuDNN's compiler up to a second, and there are dozens.
    timeoutMs: 600_000,
  });
  if (run.status === 0) return { found: run.stdout.trim(), failure: null };
  const said = run.stdout + run.stderr;
  return { found: found.library, failure: said === "" ? "ended without a word" : said };
}

/**
 * A library of which only the declarations are compared.
 * @param {import("./cuda-toolkit.mjs").Toolkit} toolkit
 * @param {ReturnType<typeof findCublasLt>} found
 * @param {string} name of our own files
 * @param {string} wheel that brings the library
 * @returns {Promise<{ found: string, failure: string | null }>}
 */
async function checkDeclarations(toolkit, found, name, wheel) {
  if (found) return checkHeader(toolkit, found, `${name}_header.cc`, [`${name}_api.cc`]);
  return { found: `not found, so not compared (pip install ${wheel} brings it)`, failure: null };
}

/**
 * The same for cuDNN, which then makes plans for described devices. It wants a driver for that,
 * which is a double that runs nothing.
 * @param {import("./cuda-toolkit.mjs").Toolkit} toolkit
 * @returns {Promise<{ found: string, failure: string | null }>}
 */
async function checkCudnn(toolkit) {
  const cudnn = findCudnn(toolkit);
  const nvrtc = nvrtcFolders(toolkit);
  if (!cudnn || nvrtc.length === 0) {
    const wheels = "pip install nvidia-cudnn-cu13 nvidia-cuda-nvrtc";
    return { found: `not found, so not compared (${wheels} brings it)`, failure: null };
  }
  const driver = join(buildDir, "driver-double");
  mkdirSync(driver, { recursive: true });
  const { code, output } = await runQuietly("g++", [
    ...["-shared", "-fPIC", join(nativeDir, "test", "cuda", "header", "driver_double.cc")],
    ...["-o", join(driver, "libcuda.so.1")],
  ]);
  if (code !== 0) return { found: cudnn.library, failure: output };
  const sources = ["api", "plan", "attention", "convolution"].map((part) => `cudnn_${part}.cc`);
  return checkHeader(toolkit, cudnn, "cudnn_header.cc", sources, [driver, ...nvrtc]);
}

/** What is compiled for the host in a CUDA build too: it must not need CUDA's headers or ours for the emulation. */
const HOST_SOURCES = ["src/ops/make_ops.cc", "tools/cuda-report/main.cc"];

/** @returns {Promise<string | null>} failure */
async function checkHostSources() {
  const files = HOST_SOURCES.map((name) => join(nativeDir, name));
  const options = ["-std=c++17", "-fsyntax-only", "-DDRIFTLESS_CUDA", "-I", join(nativeDir, "src")];
  const { code, output } = await runQuietly("g++", [...options, ...files]);
  return code === 0 ? null : `what a CUDA build compiles for the host: ${output}`;
}

/**
 * @param {Resources[]} resources
 * @returns {string[]} failures
 */
function reportResources(resources) {
  const kernels = [...new Set(resources.map(({ kernel }) => kernel))].sort();
  console.log("\n  kernel                        compiled  registers  shared bytes  spilled bytes");
  const failures = [];
  for (const kernel of kernels) {
    const own = resources.filter((entry) => entry.kernel === kernel);
    const registers = own.map((entry) => entry.registers);
    const shared = Math.max(...own.map((entry) => entry.sharedBytes));
    const spilled = Math.max(...own.map((entry) => entry.spillBytes));
    const hot = HOT.includes(kernel);
    console.log(
      `  ${kernel.padEnd(30)}${String(own.length).padStart(8)}` +
        `${`${Math.min(...registers)}-${Math.max(...registers)}`.padStart(11)}` +
        `${String(shared).padStart(14)}${String(spilled).padStart(15)}${hot ? "  hot" : ""}`,
    );
    if (hot && spilled > 0) failures.push(`${kernel} spills ${spilled} bytes`);
  }
  for (const kernel of HOT) {
    if (!kernels.includes(kernel)) failures.push(`${kernel} was not compiled`);
  }
  return failures;
}

/**
 * Runs the emulation's cases.
 * @param {string[]} args for the program
 * @returns {Promise<{ report: any, failure: string | null }>}
 */
async function checkKernels(args) {
  const program = join(nativeProgramsDir, "driftless-cuda-emulation");
  const { code, output } = await runQuietly(program, ["--json", ...args]);
  const lines = output.trimEnd().split("\n");
  console.log(`\n${lines.slice(0, -1).join("\n")}`);
  if (code !== 0) return { report: null, failure: "kernels differ from the reference" };
  return { report: JSON.parse(lines.at(-1) ?? ""), failure: null };
}

/**
 * Compares the default model's pictures on the emulated GPU with the processor's.
 * @returns {Promise<{ psnrDb: number | null, failure: string | null }>}
 */
async function checkModel() {
  const program = join(nativeProgramsDir, "driftless-bench-emulated");
  const bounds = ["--dtype", "f32", "--chunks", "1", "--most", "0.05"];
  const { code, output } = await runQuietly(program, ["agree", ...bounds, "--json"]);
  const lines = output.trimEnd().split("\n");
  console.log(`\n${lines.at(-2) ?? ""}`);
  if (code !== 0) return { psnrDb: null, failure: `the default model on the GPU: ${output}` };
  return { psnrDb: JSON.parse(lines.at(-1) ?? "").psnrDb, failure: null };
}

/**
 * Proves of the CUDA backend what can be proved without a GPU.
 * @param {import("./tasks.mjs").TaskContext} context
 * @returns {Promise<number>}
 */
export async function runCudaCheck({ args }) {
  const json = args.includes("--json");
  const emulated = await checkKernels(args.filter((argument) => argument !== "--json"));
  const model = await checkModel();
  const failures = [emulated.failure, model.failure].filter((failure) => failure !== null);

  const { toolkit, tried } = findToolkit();
  /** @type {Resources[]} */
  let resources = [];
  if (toolkit) {
    console.log(`\nnvcc ${toolkit.version} (${toolkit.nvcc}), for sm_${ARCHS.join(", sm_")}`);
    const build = await checkBuild(toolkit);
    resources = build.resources;
    failures.push(...build.failures);
    const host = await checkHostSources();
    if (host !== null) failures.push(host);
    if (build.failures.length === 0) failures.push(...reportResources(resources));
    const cublas = await checkDeclarations(
      toolkit,
      findCublasLt(toolkit),
      "cublaslt",
      "nvidia-cublas",
    );
    console.log(`\ncuBLASLt: ${cublas.found}`);
    if (cublas.failure !== null) failures.push(`cuBLASLt: ${cublas.failure}`);
    const cudnn = await checkCudnn(toolkit);
    console.log(`cuDNN: ${cudnn.found}`);
    if (cudnn.failure !== null) failures.push(`cuDNN: ${cudnn.failure}`);
    const nccl = await checkDeclarations(toolkit, findNccl(toolkit), "nccl", "nvidia-nccl-cu13");
    console.log(`NCCL: ${nccl.found}`);
    if (nccl.failure !== null) failures.push(`NCCL: ${nccl.failure}`);
  } else {
    console.log(`\nSKIPPED: no nvcc, so nothing was compiled (looked in ${tried.join(", ")}).`);
    console.log("The kernels ran in the emulation all the same.");
  }

  for (const failure of failures) console.log(`\nFAILED: ${failure}`);
  console.log(failures.length === 0 ? "\ncuda:check passed" : "\ncuda:check failed");
  if (json) {
    const compiled = new Set(resources.map(({ arch }) => `sm_${arch}`));
    console.log(
      JSON.stringify({
        archs: [...compiled],
        kernels: emulated.report ? Object.keys(emulated.report.kernels).length : 0,
        maxRelErr: emulated.report ? emulated.report.maxRelErr : null,
        cases: emulated.report ? emulated.report.cases : 0,
        modelPsnrDb: model.psnrDb,
        compiledKernels: resources.length,
        spilledBytes: resources.reduce((sum, { spillBytes }) => sum + spillBytes, 0),
        skipped: toolkit ? [] : ["compile: no nvcc"],
        failures: failures.length,
      }),
    );
  }
  return failures.length === 0 ? 0 : 1;
}
