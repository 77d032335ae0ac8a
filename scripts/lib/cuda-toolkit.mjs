import { existsSync, readdirSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { capture } from "./command.mjs";
import { SetupError } from "./steps.mjs";

/**
 * A CUDA compiler.
 * @typedef {object} Toolkit
 * @property {string} nvcc path
 * @property {string} version such as "13.0"
 * @property {string} include folder of its headers
 */

/** Folders that Python would import packages from: NVIDIA's wheels carry compiler and libraries. */
function pythonFolders() {
  const { status, stdout } = capture("python3", ["-c", "import sys; print('\\n'.join(sys.path))"]);
  return status === 0 ? stdout.split("\n").filter((line) => line.trim() !== "") : [];
}

/**
 * Paths of `file` in the wheels: they lie in nvidia/cu13/ (all of CUDA 13) or nvidia/PACKAGE/.
 * @param {string[]} names alternatives below such a folder
 * @returns {string[]} those that exist
 */
function inWheels(names) {
  return pythonFolders()
    .map((folder) => join(folder, "nvidia"))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .filter((path) => existsSync(path));
}

/**
 * Looks where toolkits are: CUDA_HOME, CUDA_PATH, PATH, /usr/local/cuda, Python wheels.
 * @returns {{ toolkit: Toolkit | null, tried: string[] }}
 */
export function findToolkit() {
  const { CUDA_HOME, CUDA_PATH, PATH = "" } = process.env;
  const homes = [CUDA_HOME, CUDA_PATH].filter((home) => home !== undefined && home !== "");
  const candidates = [
    ...homes.map((home) => join(/** @type {string} */ (home), "bin", "nvcc")),
    ...PATH.split(delimiter).map((folder) => join(folder, "nvcc")),
    "/usr/local/cuda/bin/nvcc",
    ...inWheels(["bin/nvcc"]),
  ];
  for (const nvcc of candidates) {
    if (!existsSync(nvcc)) continue;
    const version = capture(nvcc, ["--version"]).stdout.match(/release (\d+\.\d+)/)?.[1];
    if (!version) continue;
    // nvcc tells where it takes its own headers from: it may be a link or a wrapper.
    const dry = capture(nvcc, ["--dryrun", "-E", "-x", "cu", "/dev/null"]).stderr;
    const top = dry.match(/TOP=(\S+)/)?.[1] ?? dirname(dirname(nvcc));
    return { toolkit: { nvcc, version, include: join(top, "include") }, tried: candidates };
  }
  return { toolkit: null, tried: ["CUDA_HOME", "CUDA_PATH", "PATH", "/usr/local/cuda", "wheels"] };
}

/**
 * A library's header and file, from the toolkit, the system or a Python wheel.
 * @param {Toolkit} toolkit
 * @param {string} header
 * @param {string[]} names of the file, the newest first
 * @returns {{ include: string, library: string } | null}
 */
function findLibrary(toolkit, header, names) {
  const headers = [
    ...[toolkit.include, "/usr/include"].map((folder) => join(folder, header)),
    ...inWheels([join("include", header)]),
  ];
  const libraries = [
    ...names.flatMap((name) => libraryFolders(toolkit).map((folder) => join(folder, name))),
    ...inWheels(names.map((name) => join("lib", name))),
  ];
  const found = headers.find((path) => existsSync(path));
  const library = libraries.find((path) => existsSync(path));
  return found && library ? { include: dirname(found), library } : null;
}

/** @param {Toolkit} toolkit @returns {string[]} folders of libraries outside of wheels */
function libraryFolders(toolkit) {
  const top = dirname(toolkit.include);
  return [join(top, "lib64"), join(top, "lib"), "/usr/lib/x86_64-linux-gnu"];
}

/** From the toolkit or nvidia-cublas. @param {Toolkit} toolkit */
export function findCublasLt(toolkit) {
  return findLibrary(toolkit, "cublasLt.h", ["libcublasLt.so.13", "libcublasLt.so.12"]);
}

/** From the system or nvidia-cudnn-cu13. @param {Toolkit} toolkit */
export function findCudnn(toolkit) {
  return findLibrary(toolkit, "cudnn.h", ["libcudnn.so.9"]);
}

/** From the system or nvidia-nccl-cu13. @param {Toolkit} toolkit */
export function findNccl(toolkit) {
  return findLibrary(toolkit, "nccl.h", ["libnccl.so.2"]);
}

/**
 * Where cuDNN finds the compiler that it makes plans with (nvidia-cuda-nvrtc).
 * @param {Toolkit} toolkit
 * @returns {string[]} folders
 */
export function nvrtcFolders(toolkit) {
  const names = ["libnvrtc.so.13", "libnvrtc.so.12"];
  const inToolkit = libraryFolders(toolkit).filter((folder) =>
    names.some((name) => existsSync(join(folder, name))),
  );
  return [...inToolkit, ...inWheels(names.map((name) => join("lib", name))).map(dirname)];
}

/**
 * Folders of Python wheels with the libraries that the engine opens at run time, where the system
 * has none.
 * @param {{ hasDevice?: () => boolean, wheels?: typeof inWheels, exists?: typeof existsSync }} [machine]
 *   for tests
 * @returns {string[]} for the dynamic linker; none where there is no GPU
 */
export function wheelFolders(machine = {}) {
  const { hasDevice = isDevicePresent, wheels = inWheels, exists = existsSync } = machine;
  if (!hasDevice()) return [];
  const system = ["/usr/lib/x86_64-linux-gnu", "/usr/local/cuda/lib64"];
  const missing = ["libcublasLt.so.13", "libcudnn.so.9", "libnvrtc.so.13", "libnccl.so.2"].filter(
    (name) => !system.some((folder) => exists(join(folder, name))),
  );
  return [...new Set(wheels(missing.map((name) => join("lib", name))).map(dirname))];
}

function isDevicePresent() {
  return existsSync("/dev/nvidiactl");
}

/**
 * Whether the engine is built for GPUs, by DRIFTLESS_CUDA: on (an image for other machines, all
 * architectures unless DRIFTLESS_CUDA_ARCHITECTURES says which), off, or auto: where there is a
 * GPU and a compiler for it, and then for that GPU.
 * @param {NodeJS.ProcessEnv} [env]
 * @param {{ find?: typeof findToolkit, hasDevice?: () => boolean }} [machine] for tests
 * @returns {{ options: string[], detail: string }} for CMake, and what to say about it
 * @throws {SetupError} for another value, and when it is on and there is no compiler
 */
export function cudaBuild(env = process.env, machine = {}) {
  const { find = findToolkit, hasDevice = isDevicePresent } = machine;
  const wanted = env.DRIFTLESS_CUDA ?? "auto";
  if (!["auto", "on", "off"].includes(wanted)) {
    throw new SetupError(
      `DRIFTLESS_CUDA: expected auto, on or off, got "${wanted}"`,
      "unset DRIFTLESS_CUDA",
    );
  }
  const without = (/** @type {string} */ why) => ({
    options: ["DRIFTLESS_CUDA=OFF"],
    detail: `without CUDA (${why})`,
  });
  if (wanted === "off") return without("DRIFTLESS_CUDA=off");
  if (wanted === "auto" && !hasDevice()) return without("no NVIDIA GPU");
  const { toolkit, tried } = find();
  if (!toolkit) {
    const looked = `no nvcc in ${tried.join(", ")}`;
    if (wanted === "auto") return without(`there is a GPU, but ${looked}`);
    throw new SetupError(`DRIFTLESS_CUDA=on: ${looked}`, "apt-get install nvidia-cuda-toolkit");
  }
  const chosen = env.DRIFTLESS_CUDA_ARCHITECTURES ?? (wanted === "auto" ? "native" : undefined);
  return {
    options: [
      "DRIFTLESS_CUDA=ON",
      `CMAKE_CUDA_COMPILER=${toolkit.nvcc}`,
      ...(chosen ? [`DRIFTLESS_CUDA_ARCHITECTURES=${chosen}`] : []),
    ],
    detail: `with CUDA ${toolkit.version} (${toolkit.nvcc})`,
  };
}
