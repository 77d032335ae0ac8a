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
 * cuBLASLt's header and library, from the toolkit or from a Python wheel (nvidia-cublas).
 * @param {Toolkit} toolkit
 * @returns {{ include: string, library: string } | null}
 */
export function findCublasLt(toolkit) {
  const top = dirname(toolkit.include);
  const headers = [join(toolkit.include, "cublasLt.h"), ...inWheels(["include/cublasLt.h"])];
  const names = ["libcublasLt.so.13", "libcublasLt.so.12"];
  const libraries = [
    ...names.flatMap((name) => [join(top, "lib64", name), join(top, "lib", name)]),
    ...inWheels(names.map((name) => join("lib", name))),
  ];
  const header = headers.find((path) => existsSync(path));
  const library = libraries.find((path) => existsSync(path));
  return header && library ? { include: dirname(header), library } : null;
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
  const { find = findToolkit, hasDevice = () => existsSync("/dev/nvidiactl") } = machine;
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
