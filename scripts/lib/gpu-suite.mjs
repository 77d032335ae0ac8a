import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { capture, runLogged } from "./command.mjs";
import { findToolkit } from "./cuda-toolkit.mjs";
import { root } from "./paths.mjs";

const buildDir = join(root, "build", "native-cuda");

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
 * Builds with CUDA for the GPU of this machine and runs the kernels' checks on it.
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
  const targets = ["--target", "driftless-cuda-device", "driftless-cuda-report"];
  console.log(`building with nvcc ${toolkit.version}, log in ${logFile}`);
  await runLogged("cmake", configure, { logFile, cwd: root, env });
  await runLogged("cmake", ["--build", buildDir, "--parallel", ...targets], {
    ...{ logFile, cwd: root, env, append: true },
  });

  const program = (/** @type {string} */ name) => join(buildDir, "Release", name);
  const machine = capture(program("driftless-cuda-report"), [], { env });
  console.log(machine.stdout);
  const checks = capture(program("driftless-cuda-device"), ["--json"], {
    env,
    timeoutMs: 20 * 60_000,
  });
  console.log(checks.stdout);
  writeFileSync(join(out, "kernels.log"), checks.stdout + checks.stderr);
  const last = checks.stdout.trimEnd().split("\n").at(-1) ?? "";
  const kernels = last.startsWith("{") ? JSON.parse(last) : null;
  const passed = machine.status === 0 && checks.status === 0 && kernels !== null;
  const report = { devices: found, toolkit: toolkit.version, machine: machine.stdout, kernels };
  writeFileSync(join(out, "report.json"), `${JSON.stringify({ passed, ...report }, null, 2)}\n`);
  console.log(`${passed ? "passed" : "FAILED"}: ${join(out, "report.json")}`);
  return passed ? 0 : 1;
}
