import { spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, release } from "node:os";
import { dirname, join } from "node:path";
import { capture, runLogged } from "./command.mjs";
import { cacheDir, root, setupDir } from "./paths.mjs";
import { fingerprint, listFiles } from "./stamps.mjs";
import { SetupError } from "./steps.mjs";

const mediasoupDir = join(root, "node_modules", "mediasoup");
const recipeDir = join(root, "scripts", "mediasoup-worker");
const workersDir = join(cacheDir, "mediasoup-worker");

/** How long to wait for the server of prebuilt workers to answer before building from source. */
const PREBUILT_DECISION_MS = 5_000;
/** How long the whole download may take once the server has answered. */
const PREBUILT_DOWNLOAD_MS = 120_000;

/** Where the two kinds of worker are cached for the installed version of mediasoup. */
function workerPaths() {
  const { version } = readMediasoupPackage();
  // The build depends on our recipe and on the libraries of this distribution.
  const facts = [process.arch, osRelease()];
  const isPart = (/** @type {string} */ path) => !path.endsWith(".md");
  const recipe = fingerprint(listFiles([recipeDir], isPart), facts);
  return {
    prebuilt: join(workersDir, `${version}-prebuilt`, "mediasoup-worker"),
    built: join(workersDir, `${version}-${recipe}`, "mediasoup-worker"),
  };
}

/**
 * A worker that needs no building: the one the user names, a cached one, or the official prebuilt.
 * @param {(what: string) => void} working
 * @returns {Promise<string | null>} null if it has to be built
 */
export async function findWorker(working) {
  const named = process.env.MEDIASOUP_WORKER_BIN;
  if (named) {
    await verifyWorker(named);
    return named;
  }
  const { prebuilt, built } = workerPaths();
  for (const path of [prebuilt, built]) if (existsSync(path)) return path;
  working(`asking for the prebuilt one (at most ${PREBUILT_DECISION_MS / 1000} s)`);
  return (await fetchPrebuilt(prebuilt)) ? prebuilt : null;
}

/**
 * Downloads the official prebuilt worker, if it can be reached and runs here.
 * @param {string} target
 * @returns {Promise<boolean>}
 */
async function fetchPrebuilt(target) {
  const { version, repository } = readMediasoupPackage();
  const kernel = process.platform === "linux" ? `-kernel${release().split(".")[0]}` : "";
  const base =
    process.env.MEDIASOUP_WORKER_PREBUILT_DOWNLOAD_BASE_URL ??
    `${repository.url.replace(/^git\+/, "").replace(/\.git$/, "")}/releases/download`;
  const name = `mediasoup-worker-${version}-${process.platform}-${process.arch}${kernel}.tgz`;
  const folder = dirname(target);
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(), PREBUILT_DECISION_MS);
  try {
    const response = await fetch(`${base}/${version}/${name}`, { signal: abort.signal });
    if (!response.ok) return false;
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(), PREBUILT_DOWNLOAD_MS);
    mkdirSync(folder, { recursive: true });
    const archive = join(folder, "worker.tgz");
    writeFileSync(archive, Buffer.from(await response.arrayBuffer()));
    if (capture("tar", ["-xzf", archive, "-C", folder]).status !== 0) return discard(folder);
    rmSync(archive);
    chmodSync(target, 0o755);
    await verifyWorker(target);
    return true;
  } catch {
    // Not reachable, cut off, or made for another libc: building from source is the way then.
    return discard(folder);
  } finally {
    clearTimeout(timer);
  }
}

/** @param {string} folder */
function discard(folder) {
  rmSync(folder, { recursive: true, force: true });
  return false;
}

/**
 * Builds the worker from the sources in mediasoup's npm package. Needs the "build" and "worker"
 * groups of system packages.
 * @param {NodeJS.ProcessEnv} env
 * @param {(what: string) => void} working
 * @returns {Promise<string>} its path in the cache
 */
export async function buildWorker(env, working) {
  const { built } = workerPaths();
  working("building from the npm package's sources, 2 to 4 minutes on two cores");
  const buildDir = join(root, "build", "mediasoup-worker");
  const log = { logFile: join(setupDir, "mediasoup-worker.log"), cwd: root, env };
  const configure = ["-G", "Ninja", "-S", recipeDir, "-B", buildDir];
  await runLogged("cmake", [...configure, `-DMEDIASOUP_DIR=${mediasoupDir}`], log);
  const jobs = process.env.DRIFTLESS_BUILD_JOBS ?? String(availableParallelism());
  const build = ["--build", buildDir, "--parallel", jobs];
  await runLogged("cmake", build, { ...log, append: true });
  const program = join(buildDir, "mediasoup-worker");
  await verifyWorker(program);
  mkdirSync(dirname(built), { recursive: true });
  copyFileSync(program, `${built}.${process.pid}`);
  renameSync(`${built}.${process.pid}`, built);
  rmSync(buildDir, { recursive: true, force: true });
  return built;
}

/**
 * Starts a worker as mediasoup does and waits for its first message.
 * @param {string} path
 * @returns {Promise<void>} rejects with a SetupError if the worker does not run here
 */
export async function verifyWorker(path) {
  const { version } = readMediasoupPackage();
  const problem = await new Promise((resolve) => {
    const child = spawn(path, [], {
      env: { ...process.env, MEDIASOUP_VERSION: version },
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    });
    const timer = setTimeout(() => finish("said nothing for 10 s"), 10_000);
    let done = false;
    const finish = (/** @type {string | null} */ result) => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      child.kill("SIGKILL");
      resolve(result);
    };
    child.on("error", (error) => finish(error.message));
    child.on("exit", (code, signal) => finish(`ended at once (${signal ?? `exit code ${code}`})`));
    // Descriptor 4 carries the worker's messages; the first one says that it is running.
    child.stdio[4]?.on("data", () => finish(null));
  });
  if (problem === null) return;
  throw new SetupError(
    `The mediasoup worker ${path} does not run here: ${problem}.`,
    path === process.env.MEDIASOUP_WORKER_BIN ? "unset MEDIASOUP_WORKER_BIN" : `rm ${path}`,
  );
}

/** @returns {{ version: string, repository: { url: string } }} */
function readMediasoupPackage() {
  return JSON.parse(readFileSync(join(mediasoupDir, "package.json"), "utf8"));
}

/** Name and version of the distribution, whose libraries the worker links against. */
function osRelease() {
  if (!existsSync("/etc/os-release")) return process.platform;
  const lines = readFileSync("/etc/os-release", "utf8").split("\n");
  return lines.filter((line) => /^(ID|VERSION_ID)=/.test(line)).join(" ");
}
