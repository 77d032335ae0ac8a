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
import { TransformStage } from "../../support/transform-stage.ts";
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
  readonly #listeners: ((reason: string) => void)[] = [];

  constructor(peer: SfuPeer) {
    SocketTap.#count += 1;
    this.#peer = peer;
    this.local = { ip: "127.0.0.1", port: peer.port };
    this.output = {
      producerId: `generated-${SocketTap.#count}`,
      payloadType: PAYLOAD_TYPE,
      codec: "vp8",
      absCaptureTimeId: 10,
    };
  }

  async connect({ port }: { port: number }): Promise<void> {
    this.enginePort = port;
    this.#peer.connect(port);
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

  close(): void {
    if (!this.calls.includes("close")) {
      this.#stopCamera?.();
      this.calls.push("close");
      this.#peer.close();
      this.#tell("the transform ended");
    }
  }

  /** As when the camera stops. */
  breakOff(reason: string): void {
    this.#tell(reason);
  }

  on(_event: "closed", listener: (reason: string) => void): void {
    this.#listeners.push(listener);
  }

  #tell(reason: string): void {
    for (const listener of this.#listeners.splice(0)) listener(reason);
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
  await pool.start();
  const [engine] = pool.engines;
  if (engine === undefined) throw new Error("Expected an engine.");
  const config = {
    bitrateBps: 500_000,
    lowLayerBitrateBps: 0,
    maxFps: 30,
    delayBudgetMs: 250,
    fallbackGraceMs: 100,
  };
  const taps: SocketTap[] = [];
  /** What the next taps fail with. */
  const broken: { tap?: Error } = {};
  const stage = new TransformStage({
    engine: pool,
    engineMetrics,
    config,
    createTap: async () => {
      if (broken.tap !== undefined) throw broken.tap;
      const tap = new SocketTap(await SfuPeer.create());
      taps.push(tap);
      return tap;
    },
  });
  const events: string[] = [];
  const { room } = stage;
  room.on("planChanged", ({ transform, generated }) => {
    const event =
      transform.video === "generated" ? `shows ${generated?.id}` : `shows ${transform.video}`;
    if (events.findLast((each) => each.startsWith("shows")) !== event) events.push(event);
  });
  room.on("transformApplied", (_participant, { revision, complete }) => {
    events.push(`${complete ? "applied" : "applying"} ${revision}`);
  });
  room.on("transformRefused", (_participant, revision, { message }) => {
    events.push(`refused ${revision}: ${message}`);
  });
  room.on("transformState", ({ transform }) => {
    if (events.findLast((each) => each.startsWith("is ")) !== `is ${transform.state}`) {
      events.push(`is ${transform.state}`);
    }
  });
  const close = async () => {
    stage.close();
    await pool.close();
  };
  const has = (event: string) => () => events.includes(event);
  return { broken, close, engine, engineMetrics, pool, events, has, room, stage, taps };
}

describe("transforms", function () {
  this.timeout(60_000);
  let context: Awaited<ReturnType<typeof setUp>>;

  beforeEach(async () => {
    context = await setUp();
  });

  afterEach(() => context.close());

  it("goes from off to a generated track, changes it, and back", async () => {
    const { events, has, stage, taps } = context;
    const ann = stage.join("ann");
    expect(await stage.set(ann, restyle("one"))).to.equal(1);
    const producerId = taps[0]?.output.producerId;
    await until("the generated track", has(`shows ${producerId}`));
    await until("settings visible", has("applied 1"));
    await until("live", has("is live"));
    expect(await stage.set(ann, restyle("two"))).to.equal(2);
    await until("the change", has("applied 2"));
    expect(events.indexOf("applying 2")).to.be.within(0, events.indexOf("applied 2"));
    await until("a delay", () => ann.transform.delayMs !== null);
    await stage.set(ann, { mode: "off" });
    expect(ann.transform).to.include({ state: "off", video: "original", settings: null });
    expect(ann.info.transform).to.equal(null);
    // The generated track stays a little, so that viewers are never without a picture.
    expect(taps[0]?.calls).to.deep.equal(["connect", "start"]);
    expect(ann.generated?.id).to.equal(producerId);
    await until("its end", () => taps[0]?.calls.at(-1) === "close");
    expect(ann.generated).to.equal(undefined);
  });

  it("tells and counts what the engine gives a transform", async () => {
    const { engineMetrics, has, stage } = context;
    const ann = stage.join("ann");
    const levels = async () => {
      const { values } = await engineMetrics.transformLevels.get();
      const taken = values.filter(({ value }) => value > 0);
      return Object.fromEntries(taken.map(({ labels, value }) => [labels.level, value]));
    };
    await stage.set(ann, restyle("one"));
    await until("live", has("is live"));
    expect(await levels()).to.deep.equal({ full: 1 });
    await stage.set(ann, restyle("busy"));
    await until("a lower level", () => ann.transform.level === "lowerRate");
    await until("its state", () => ann.transform.state === "degraded");
    expect(ann.transform.reason).to.contain("fewer pictures");
    expect(await levels()).to.deep.equal({ lowerRate: 1 });
    await stage.set(ann, restyle("room again"));
    await until("the full level", () => ann.transform.level === "full");
    const { values } = await engineMetrics.transformLevelChanges.get();
    expect(
      values.map(({ labels }) => `${labels.direction} to ${labels.level}: ${labels.cause}`),
    ).to.deep.equal(["down to lowerRate: overload", "up to full: headroom"]);
    expect(values.map(({ value }) => value)).to.deep.equal([1, 1]);
    await until("a report", () => ann.transform.delayMs !== null);
    const outcomes = (await engineMetrics.engineChunks.get()).values;
    expect(outcomes.find(({ labels }) => labels.outcome === "slow")?.value).to.equal(1);
    const corrections = (await engineMetrics.driftCorrections.get()).values;
    expect(
      Object.fromEntries(corrections.map(({ labels, value }) => [labels.what, value])),
    ).to.deep.equal({ latents: 3, pictures: 2, renewals: 1 });
    await stage.set(ann, { mode: "off" });
    expect(await levels()).to.deep.equal({});
  });

  it("moves to a new camera", async () => {
    const { has, stage, taps } = context;
    const ann = stage.join("ann");
    await stage.set(ann, restyle("one"));
    await until("the first track", has(`shows ${taps[0]?.output.producerId}`));
    stage.camera(ann, "another camera");
    await until("the second track", () => has(`shows ${taps[1]?.output.producerId}`)());
    expect(taps[0]?.calls.at(-1)).to.equal("close");
    expect(ann.wish.revision).to.equal(1);
  });

  it("ends with the camera, and gives its place back", async () => {
    const { engineMetrics, has, room, stage, taps } = context;
    const ann = stage.join("ann");
    await stage.set(ann, restyle("one"));
    await until("live", has("is live"));
    if (ann.camera !== undefined) room.unpublish(ann, ann.camera);
    taps[0]?.breakOff("the camera stopped");
    expect(ann.transform).to.include({ state: "off", video: "none" });
    await until("the place", () => stage.admission.used === 0);
    const gauges = (await engineMetrics.transforms.get()).values;
    expect(gauges.every(({ value }) => value === 0)).to.equal(true);
  });

  it("shows the original while the engine is down only to those who allow it", async () => {
    for (const hideRoom of [false, true]) {
      const { engine, events, stage } = context;
      const person = stage.join(hideRoom ? "hidden" : "open", { hideRoom });
      await stage.set(person, restyle("one"));
      await until("live", () => person.transform.state === "live");
      events.length = 0;
      process.kill(engine.pid ?? 0, "SIGKILL");
      await until("fallback", () => person.transform.state === "fallback");
      await until("the way back", () => person.transform.state === "live");
      expect(events.includes("shows original")).to.equal(!hideRoom);
      expect(person.transform.video).to.equal("generated");
      context.room.leave(person.id, "left");
    }
    expect(context.taps.map((tap) => tap.calls.join(" "))).to.deep.equal([
      "connect start pause start close",
      "connect start pause start close",
    ]);
  });

  it("shows a card where the participant wants that rather than the last frame", async () => {
    const { engine, events, room, stage } = context;
    const ann = stage.join("ann");
    room.setFallback(ann, ["avatar"]);
    await stage.set(ann, restyle("one"));
    await until("live", () => ann.transform.state === "live");
    events.length = 0;
    process.kill(engine.pid ?? 0, "SIGKILL");
    await until("the card", () => events.includes("shows none"));
    await until("the way back", () => ann.transform.video === "generated");
    expect(events).not.to.include("shows original");
  });

  it("builds a new way when the engine's port was taken during its restart", async () => {
    const { engine, has, stage, taps } = context;
    const ann = stage.join("ann", { hideRoom: true });
    await stage.set(ann, restyle("one"));
    await until("live", has("is live"));
    const [tap] = taps;
    process.kill(engine.pid ?? 0, "SIGKILL");
    await until("the notice", () => ann.transform.state === "fallback");
    const thief = createSocket("udp4");
    thief.bind(tap?.enginePort, "127.0.0.1");
    await once(thief, "listening");
    await until("another track", () => has(`shows ${taps[1]?.output.producerId}`)());
    expect(tap?.calls.at(-1)).to.equal("close");
    expect(ann.transform).to.include({ video: "generated", revision: 1 });
    thief.close();
  });

  it("tries again for as long as it is wanted", async () => {
    const { broken, stage, taps } = context;
    const ann = stage.join("ann");
    broken.tap = new Error("no port is free");
    await stage.set(ann, restyle("one"));
    expect(ann.transform).to.include({ state: "starting", video: "original" });
    expect(ann.transform.reason).to.equal("no port is free");
    delete broken.tap;
    await until("a session", () => ann.transform.state === "live");
    expect(taps).to.have.length(1);

    broken.tap = new Error("no port is free");
    taps[0]?.breakOff("the way broke");
    await until("the notice", () => ann.transform.reason === "no port is free");
    await stage.set(ann, { mode: "off" });
    delete broken.tap;
    await new Promise((resolve) => setTimeout(resolve, 1200));
    expect(taps, "nobody wants it any more").to.have.length(1);
  });

  it("puts who finds no place in line, and starts those who waited by itself", async () => {
    const { stage } = context;
    const { engineMetrics, pool } = context;
    const line = new TransformStage({
      engine: pool,
      engineMetrics,
      places: 1,
      limits: { queueLength: 2 },
      config: { bitrateBps: 500_000, lowLayerBitrateBps: 0, maxFps: 30, delayBudgetMs: 250 },
      createTap: async () => new SocketTap(await SfuPeer.create()),
    });
    try {
      const [ann, ben, cem, dan] = ["ann", "ben", "cem", "dan"].map((id) => line.join(id));
      if (!ann || !ben || !cem || !dan) throw new Error("Expected four people.");
      await line.set(ann, restyle("one"));
      await line.set(ben, restyle("two"));
      await line.set(cem, {
        mode: "background",
        prompt: "",
        blur: true,
        strength: 0,
        steps: 1,
        seed: 0,
      });
      expect(ben.transform).to.deep.include({ state: "queued", video: "original" });
      expect(cem.transform.queue).to.deep.equal({ position: 2, estimatedWaitSeconds: null });
      expect(cem.transform.video, "who waits for a background is hidden already").to.equal("none");
      const refused = await line.set(dan, restyle("four")).catch((error: Error) => error.message);
      expect(refused).to.equal("All 1 places are taken and 2 people wait (limits.transformQueue).");
      expect(dan.transform.state).to.equal("off");

      await line.set(ben, { mode: "off" });
      expect(cem.transform.queue).to.deep.include({ position: 1 });
      line.room.leave(ann.id, "left");
      await until("the turn of who waited", () => cem.transform.video === "generated");
      expect(stage.admission.used).to.equal(0);
    } finally {
      line.close();
    }
  });

  it("returns to what was in force when the engine refuses, and says so", async () => {
    const { broken, engine, events, has, stage, taps } = context;
    const ann = stage.join("ann");
    await stage.set(ann, restyle("one"));
    await until("live", has("is live"));
    const refused = await stage.set(ann, restyle("refuse")).catch((error: Error) => error.message);
    // Accepted for now, refused by the engine a moment later.
    expect(refused).to.equal(2);
    await until("the refusal", () => events.some((event) => event.startsWith("refused 2")));
    expect(ann.transform.settings).to.deep.include({ prompt: "one" });
    await until("the look of before", has("applied 3"));
    expect(taps).to.have.length(1);
    expect(engine.restarts).to.equal(0);
    expect(broken.tap).to.equal(undefined);
  });

  it("follows the last wish, however quickly they come", async () => {
    const { stage, taps } = context;
    const ann = stage.join("ann");
    const background = {
      mode: "background",
      prompt: "",
      blur: true,
      strength: 0,
      steps: 1,
      seed: 0,
    } as const;
    const wishes = [
      restyle("one"),
      restyle("two"),
      background,
      { mode: "off" as const },
      restyle("three"),
    ];
    const revisions = await Promise.all(wishes.map((wish) => stage.set(ann, wish)));
    expect(revisions).to.deep.equal([1, 2, 3, 4, 5]);
    await until("the last one", () => ann.transform.state === "live");
    expect(ann.transform.settings).to.deep.include({ prompt: "three" });
    expect(ann.policy).to.include({ original: true, generated: true });
    await stage.set(ann, background);
    await stage.set(ann, { mode: "off" });
    expect(ann.transform.video).to.equal("original");
    await until(
      "one tap at most",
      () => taps.filter((tap) => !tap.calls.includes("close")).length <= 1,
    );
  });
});
