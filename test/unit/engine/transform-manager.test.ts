import { createSocket } from "node:dgram";
import { once } from "node:events";
import path from "node:path";
import { expect } from "chai";
import type { TransformSettings } from "../../../server/domain/settings.ts";
import { ipcLink } from "../../../server/engine/link/ipc-link.ts";
import { createEngineMetrics } from "../../../server/engine/metrics.ts";
import { EnginePool } from "../../../server/engine/pool.ts";
import type { TransformTap } from "../../../server/media/transform-tap.ts";
import { createLogger } from "../../../server/telemetry/logger.ts";
import { createMetrics } from "../../../server/telemetry/metrics.ts";
import { TransformManager } from "../../../server/transform/manager.ts";
import type { TransformTarget } from "../../../server/transform/types.ts";
import { until } from "../../support/wait.ts";
import { CAMERA_SSRC, PAYLOAD_TYPE, SfuPeer } from "./support/sfu-peer.ts";

const ENTRY = path.join(import.meta.dirname, "support/echo-child.ts");

/** A tap whose SFU is a plain socket with a camera behind it. */
class SocketTap implements TransformTap {
  static #count = 0;
  readonly calls: string[] = [];
  enginePort = 0;
  readonly local: { ip: string; port: number };
  readonly input = {
    ssrc: CAMERA_SSRC,
    payloadType: PAYLOAD_TYPE,
    codec: "vp8",
    cname: "c",
    absCaptureTimeId: null,
  } as const;
  readonly output: TransformTap["output"];
  readonly #peer: SfuPeer;
  #stopCamera: (() => void) | null = null;
  #listener: ((reason: string) => void) | null = null;

  constructor(peer: SfuPeer) {
    SocketTap.#count += 1;
    this.#peer = peer;
    this.local = { ip: "127.0.0.1", port: peer.port };
    this.output = {
      producerId: `generated-${SocketTap.#count}`,
      payloadType: PAYLOAD_TYPE,
      absCaptureTimeId: 10,
    };
  }

  async connect(enginePort: number): Promise<void> {
    this.enginePort = enginePort;
    this.#peer.connect(enginePort);
    this.calls.push("connect");
  }

  async start(): Promise<void> {
    this.#stopCamera ??= this.#peer.startCamera();
    this.calls.push("start");
  }

  async pause(): Promise<void> {
    this.#stopCamera?.();
    this.#stopCamera = null;
    this.calls.push("pause");
  }

  async requestKeyFrame(): Promise<void> {
    this.calls.push("requestKeyFrame");
  }

  close(): void {
    if (!this.calls.includes("close")) {
      this.#stopCamera?.();
      this.calls.push("close");
      this.#peer.close();
      this.#listener?.("the transform ended");
    }
  }

  /** As when the camera stops. */
  breakOff(reason: string): void {
    this.#listener?.(reason);
  }

  on(_event: "closed", listener: (reason: string) => void): void {
    this.#listener = listener;
  }
}

function restyle(prompt: string): TransformSettings {
  return { mode: "restyle", prompt, strength: 0.8, steps: 1, seed: 0 };
}

async function setUp() {
  const metrics = createMetrics();
  const engineMetrics = createEngineMetrics(metrics.registry);
  const logger = createLogger("silent");
  const pool = new EnginePool({
    metrics: engineMetrics,
    engines: [
      {
        engine: { modelDir: "echo", backend: "cpu", computeThreads: 1, maxSessions: 2 },
        logger,
        metrics: engineMetrics,
        openLink: ipcLink(ENTRY),
        restart: { firstDelayMs: 10 },
      },
    ],
  });
  const [engine] = pool.engines;
  if (engine === undefined) throw new Error("no engine");
  await pool.start();
  const config = {
    engineIp: "127.0.0.1",
    bitrateBps: 500_000,
    maxFps: 30,
    delayBudgetMs: 250,
    fallbackGraceMs: 100,
  };
  const manager = new TransformManager({ engine: pool, logger, metrics, engineMetrics, config });
  const events: string[] = [];
  manager.on("active", ({ producerId }) => events.push(`active ${producerId}`));
  manager.on("inactive", ({ ended }) => events.push(ended ? "inactive for good" : "inactive"));
  manager.on("applied", ({ revision, complete }) => {
    events.push(`${complete ? "applied" : "applying"} ${revision}`);
  });
  manager.on("state", ({ state }) => {
    if (events.at(-1) !== state) {
      events.push(state);
    }
  });
  manager.on("stats", ({ delayMs }) => {
    if (delayMs !== null && !events.includes("delay known")) {
      events.push("delay known");
    }
  });
  const taps: SocketTap[] = [];
  const target = (over: Partial<TransformTarget> = {}): TransformTarget => ({
    id: "ann",
    roomId: "room",
    videoProducerId: "camera-1",
    allowOriginalFallback: true,
    createTap: async () => {
      const tap = new SocketTap(await SfuPeer.create());
      taps.push(tap);
      return tap;
    },
    ...over,
  });
  const close = async () => {
    await manager.close();
    await pool.close();
  };
  const has = (event: string) => () => events.includes(event);
  return { close, engine, engineMetrics, events, has, manager, taps, target };
}

describe("TransformManager", function () {
  this.timeout(60_000);
  let context: Awaited<ReturnType<typeof setUp>>;

  beforeEach(async () => {
    context = await setUp();
  });

  afterEach(() => context.close());

  it("goes from off to a generated track, changes it, and back", async () => {
    const { events, has, manager, taps, target } = context;
    expect(await manager.set(target(), restyle("one"))).to.deep.equal({ revision: 1 });
    const producerId = taps[0]?.output.producerId;
    await until("the generated track", has(`active ${producerId}`));
    await until("settings visible", has("applied 1"));
    await until("live", has("live"));
    expect(manager.status("ann")?.video).to.equal("generated");
    expect(await manager.set(target(), restyle("two"))).to.deep.equal({ revision: 2 });
    await until("the change", has("applied 2"));
    expect(events.indexOf("applying 2")).to.be.within(0, events.indexOf("applied 2"));
    await until("a delay", has("delay known"));
    expect(manager.status("ann")?.delayMs).to.be.a("number");
    expect(manager.status("ann")?.appliedRevision).to.equal(2);
    await manager.set(target(), { mode: "off" });
    expect(events.slice(-2)).to.deep.equal(["inactive for good", "stopped"]);
    expect(manager.status("ann")).to.equal(undefined);
    expect(taps[0]?.calls).to.deep.equal(["connect", "start", "close"]);
  });

  it("tells and counts what the engine gives a transform", async () => {
    const { engineMetrics, has, manager, target } = context;
    const changes: string[] = [];
    manager.on("level", ({ level, direction, cause }) =>
      changes.push(`${direction} to ${level}: ${cause}`),
    );
    const levels = async () => {
      const { values } = await engineMetrics.transformLevels.get();
      const taken = values.filter(({ value }) => value > 0);
      return Object.fromEntries(taken.map(({ labels, value }) => [labels.level, value]));
    };
    await manager.set(target(), restyle("one"));
    await until("live", has("live"));
    expect(await levels()).to.deep.equal({ full: 1 });
    await manager.set(target(), restyle("busy"));
    await until("a lower level", () => manager.status("ann")?.level === "lowerRate");
    await until("its state", () => manager.status("ann")?.state === "degraded");
    expect(manager.status("ann")?.reason).to.contain("fewer pictures");
    expect(await levels()).to.deep.equal({ lowerRate: 1 });
    await manager.set(target(), restyle("room again"));
    await until("the full level", () => manager.status("ann")?.level === "full");
    expect(changes).to.deep.equal(["down to lowerRate: overload", "up to full: headroom"]);
    const { values } = await engineMetrics.transformLevelChanges.get();
    expect(values.map(({ value }) => value)).to.deep.equal([1, 1]);
    await until("a report", () => manager.status("ann")?.delayMs !== null);
    const outcomes = (await engineMetrics.engineChunks.get()).values;
    expect(outcomes.find(({ labels }) => labels.outcome === "slow")?.value).to.equal(1);
    const corrections = (await engineMetrics.driftCorrections.get()).values;
    expect(
      Object.fromEntries(corrections.map(({ labels, value }) => [labels.what, value])),
    ).to.deep.equal({ latents: 3, pictures: 2, renewals: 1 });
    await manager.set(target(), { mode: "off" });
    expect(await levels()).to.deep.equal({});
  });

  it("moves to a new camera", async () => {
    const { has, manager, taps, target } = context;
    await manager.set(target(), restyle("one"));
    await until("the first track", has(`active ${taps[0]?.output.producerId}`));
    const { revision } = await manager.set(target({ videoProducerId: "camera-2" }), restyle("one"));
    expect(revision).to.equal(2);
    await until("the second track", has(`active ${taps[1]?.output.producerId}`));
    expect(taps[0]?.calls.at(-1)).to.equal("close");
  });

  it("ends with the camera", async () => {
    const { engineMetrics, events, has, manager, taps, target } = context;
    await manager.set(target(), restyle("one"));
    await until("live", has("live"));
    taps[0]?.breakOff("the camera stopped");
    expect(events.slice(-2)).to.deep.equal(["inactive for good", "stopped"]);
    expect(manager.status("ann")).to.equal(undefined);
    const gauges = (await engineMetrics.transforms.get()).values;
    expect(gauges.every(({ value }) => value === 0)).to.equal(true);
  });

  it("shows the original while the engine is down only to those who allow it", async () => {
    for (const allowOriginalFallback of [true, false]) {
      const { engine, events, manager, target } = context;
      const id = allowOriginalFallback ? "open" : "hidden";
      await manager.set(target({ id, allowOriginalFallback }), restyle("one"));
      await until("live", () => manager.status(id)?.state === "live");
      events.length = 0;
      process.kill(engine.pid ?? 0, "SIGKILL");
      await until("fallback", () => manager.status(id)?.state === "fallback");
      await until("the way back", () => manager.status(id)?.state === "live");
      const seen = events.filter((event) => event.includes("active"));
      expect(seen.length).to.equal(allowOriginalFallback ? 2 : 0);
      expect(manager.status(id)?.video).to.equal("generated");
      await manager.stop(id);
    }
    expect(context.taps.map((tap) => tap.calls.join(" "))).to.deep.equal([
      "connect start pause start close",
      "connect start pause start close",
    ]);
  });

  it("builds a new way when the engine's port was taken during its restart", async () => {
    const { engine, has, manager, taps, target } = context;
    await manager.set(target({ allowOriginalFallback: false }), restyle("one"));
    await until("live", has("live"));
    const [tap] = taps;
    process.kill(engine.pid ?? 0, "SIGKILL");
    await until("the notice", () => manager.status("ann")?.state === "fallback");
    const thief = createSocket("udp4");
    thief.bind(tap?.enginePort, "127.0.0.1");
    await once(thief, "listening");
    await until("another track", () => has(`active ${taps[1]?.output.producerId}`)());
    expect(tap?.calls.at(-1)).to.equal("close");
    expect(manager.status("ann")).to.include({ video: "generated", revision: 1 });
    thief.close();
  });

  it("undoes everything when the engine or the tap refuses", async () => {
    const { engine, manager, taps, target } = context;
    const refused = async (settings: TransformSettings, over: Partial<TransformTarget> = {}) =>
      manager.set(target(over), settings).then(
        () => "none",
        (error: Error) => error.message,
      );
    expect(await refused(restyle("refuse"))).to.contain("expected another prompt");
    expect(taps[0]?.calls).to.deep.equal(["close"]);
    const createTap = async () => {
      throw new Error("no such producer");
    };
    expect(await refused(restyle("one"), { createTap })).to.equal("no such producer");
    await manager.set(target({ id: "a" }), restyle("one"));
    await manager.set(target({ id: "b" }), restyle("one"));
    expect(await refused(restyle("one"), { id: "c" })).to.contain("all 2 places");
    expect(manager.status("ann")).to.equal(undefined);
    expect(engine.restarts).to.equal(0);
  });

  it("keeps calls for one participant in order", async () => {
    const { manager, taps, target } = context;
    const revisions = await Promise.all([
      manager.set(target(), restyle("one")),
      manager.set(target(), restyle("two")),
      manager.set(target(), { mode: "off" }),
      manager.set(target(), restyle("three")),
    ]);
    expect(revisions.map(({ revision }) => revision)).to.deep.equal([1, 2, 2, 3]);
    expect(taps.length).to.equal(2);
    expect(manager.status("ann")?.settings.prompt).to.equal("three");
    await manager.close();
    expect(taps.every((tap) => tap.calls.at(-1) === "close")).to.equal(true);
    const late = await manager
      .set(target(), restyle("four"))
      .catch((error: Error) => error.message);
    expect(late).to.equal("The server is closing.");
  });
});
