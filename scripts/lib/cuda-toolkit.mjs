import { existsSync, readdirSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { capture } from "./command.mjs";

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
