/**
 * The mediasoup worker processes. Each has one WebRtcServer, so that all browsers
 * of a worker share one UDP and one TCP port. A worker that dies is replaced.
 */
import { availableParallelism, networkInterfaces } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { createWorker, type types as ms, setLogEventListeners } from "mediasoup";
import type { SfuConfig } from "../config/schema.ts";
import { SafeEmitter } from "../domain/events.ts";
import { DriftlessError } from "../errors.ts";
import { HeartbeatWatch } from "../telemetry/heartbeat-watch.ts";
import { reportListenerErrors } from "../telemetry/listener-errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { listenOn, mediaAddresses, readRoutes } from "./listen-addresses.ts";

/** Between a worker's end and the news that this process was told to end as well. */
const SIGNAL_GRACE_MS = 100;
const RESPAWN_FIRST_MS = 100;
const RESPAWN_MAX_MS = 5000;

/** One worker process and its place in the pool. */
export interface WorkerSlot {
  readonly index: number;
  readonly worker: ms.Worker;
  readonly webRtcServer: ms.WebRtcServer;
  /** Routers on it; the pool gives new rooms to the slot with the fewest. */
  routers: number;
  /** Tracks that it sends to viewers. */
  consumers: number;
}

/**
 * What mediasoup and its workers have to say. Most warnings are ordinary life (packets
 * before their track is known, pages that closed), so they are for who looks closely.
 */
function logWarnings(logger: Logger): void {
  setLogEventListeners({
    onwarn: (namespace, log) => logger.debug({ namespace }, log),
    onerror: (namespace, log, err) => logger[errorLevel(log)]({ namespace, err }, log),
  });
}

/** How loud an error of mediasoup's is. */
export function errorLevel(log: string): "debug" | "error" {
  // A worker's death is told by #replace(), unless it came with the end of the server.
  if (log.includes("died unexpectedly")) return "debug";
  // A track that just ended takes its consumers along before our word to them arrives. Whoever sent
  // it hears of the refusal as well.
  const gone = /MediaSoupNotFoundError: .*\[method:(consumer\.\w+|transport\.closeConsumer)\]/u;
  return gone.test(log) ? "debug" : "error";
}

/** A worker answers a question in under a millisecond; one that is silent for so long hangs. */
const HANG_LIMIT_MS = 5000;
const PING_MS = 1000;

interface WorkerPoolEvents {
  /** The slot is gone with everything on it. A replacement follows. */
  workerDied: [slot: WorkerSlot];
}

/** Half of the cores by default: the other half belongs to the engine. */
export function workerCount(config: SfuConfig, cores = availableParallelism()): number {
  return config.workers > 0 ? config.workers : Math.max(1, Math.floor(cores / 2));
}

export class WorkerPool extends SafeEmitter<WorkerPoolEvents> {
  readonly #config: SfuConfig;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #slots: (WorkerSlot | undefined)[];
  #waiting: (() => void)[] = [];
  #closed = false;

  private constructor(config: SfuConfig, logger: Logger, metrics: Metrics) {
    super(reportListenerErrors(logger, metrics));
    this.#config = config;
    this.#logger = logger;
    this.#metrics = metrics;
    this.#slots = new Array<WorkerSlot | undefined>(workerCount(config)).fill(undefined);
  }

  /** @throws Error that names the port or the program when a worker cannot start. */
  static async create(config: SfuConfig, logger: Logger, metrics: Metrics): Promise<WorkerPool> {
    logWarnings(logger);
    const pool = new WorkerPool(config, logger, metrics);
    try {
      for (let index = 0; index < pool.#slots.length; index++) await pool.#spawn(index);
    } catch (error) {
      pool.close();
      throw error;
    }
    return pool;
  }

  /** Process ids of the living workers. */
  get pids(): number[] {
    return this.#live().map((slot) => slot.worker.pid);
  }

  get ready(): boolean {
    return !this.#closed && this.#live().length > 0;
  }

  /** The port range that is left for the links to the engine. */
  get plainPortRange(): { min: number; max: number } {
    return { min: this.#config.rtcMinPort + this.#slots.length, max: this.#config.rtcMaxPort };
  }

  /** The least used living worker; waits for a replacement while there is none. */
  async acquire(): Promise<WorkerSlot> {
    for (;;) {
      if (this.#closed) throw new DriftlessError("SHUTTING_DOWN", "The server is closing.");
      const [first, ...rest] = this.#live();
      if (first !== undefined) {
        return rest.reduce((best, slot) => (slot.routers < best.routers ? slot : best), first);
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** The living worker with the fewest consumers of those that fit; undefined where none does. */
  roomiest(fits: (slot: WorkerSlot) => boolean): WorkerSlot | undefined {
    return this.#live()
      .filter(fits)
      .reduce<WorkerSlot | undefined>(
        (best, slot) => (best === undefined || slot.consumers < best.consumers ? slot : best),
        undefined,
      );
  }

  /**
   * Workers that end from now on are not replaced. Ctrl-C reaches them too, so this
   * comes first in the end of the server.
   */
  retire(): void {
    this.#closed = true;
  }

  /** Ends all workers. Safe to call twice. */
  close(): void {
    this.retire();
    for (const slot of this.#live()) slot.worker.close();
    this.#wake();
  }

  #live(): WorkerSlot[] {
    return this.#slots.filter((slot) => slot !== undefined);
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async #spawn(index: number): Promise<void> {
    const worker = await createWorker({
      logLevel: this.#config.logLevel,
      // Without "srtp": probe packets make it warn in bursts, media is untouched.
      logTags: ["info", "ice", "dtls", "rtp", "rtcp"],
      appData: { index },
    });
    let slot: WorkerSlot;
    try {
      const webRtcServer = await this.#listen(worker, this.#config.rtcMinPort + index);
      slot = { index, worker, webRtcServer, routers: 0, consumers: 0 };
    } catch (error) {
      worker.close();
      throw error;
    }
    if (this.#closed) {
      worker.close();
      return;
    }
    this.#slots[index] = slot;
    this.#watch(slot);
    worker.on("died", (error) => void this.#replace(slot, error));
    this.#logger.info({ index, pid: worker.pid }, "media worker started");
    this.#wake();
  }

  /** A worker that hangs is ended: what it holds up would wait for it for ever. */
  #watch(slot: WorkerSlot): void {
    const { worker } = slot;
    const watch = new HeartbeatWatch(HANG_LIMIT_MS, PING_MS);
    const timer = setInterval(() => {
      worker.getResourceUsage().then(
        () => watch.beat(),
        // A worker that has ended says so by itself.
        () => undefined,
      );
      if (!watch.check(performance.now())) return;
      this.#logger.error({ index: slot.index, pid: worker.pid }, "a media worker hangs, ending it");
      process.kill(worker.pid, "SIGKILL");
    }, PING_MS);
    timer.unref();
    worker.observer.once("close", () => clearInterval(timer));
  }

  async #listen(worker: ms.Worker, port: number): Promise<ms.WebRtcServer> {
    // Read anew for each worker: an address may have changed since the last one.
    const addresses = mediaAddresses(this.#config, networkInterfaces(), readRoutes());
    return listenOn(
      addresses,
      port,
      (listenInfos) => worker.createWebRtcServer({ listenInfos }),
      (details, message) => this.#logger.warn(details, message),
    );
  }

  async #replace(slot: WorkerSlot, error: Error): Promise<void> {
    // At once: a dead worker has the fewest routers, and would be chosen again and again.
    this.#slots[slot.index] = undefined;
    // Ctrl-C reaches the workers too, and they may be gone before this process has read its signal.
    await sleep(SIGNAL_GRACE_MS);
    if (this.#closed) return;
    this.#metrics.workerDeaths.inc();
    this.#logger.error({ err: error, index: slot.index }, "media worker died");
    this.emit("workerDied", slot);
    for (
      let waitMs = RESPAWN_FIRST_MS;
      !this.#closed;
      waitMs = Math.min(waitMs * 2, RESPAWN_MAX_MS)
    ) {
      try {
        await this.#spawn(slot.index);
        return;
      } catch (err) {
        this.#logger.error({ err, index: slot.index, waitMs }, "media worker cannot be replaced");
        await sleep(waitMs);
      }
    }
  }
}
