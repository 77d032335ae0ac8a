/** Streams that crash the engine, with real processes around the echo engine. */
import path from "node:path";
import { expect } from "chai";
import { Registry } from "prom-client";
import { EngineUnavailableError } from "../../../server/engine/engine-error.ts";
import { ipcLink } from "../../../server/engine/link/ipc-link.ts";
import { createEngineMetrics } from "../../../server/engine/metrics.ts";
import { EnginePool } from "../../../server/engine/pool.ts";
import { createLogger } from "../../../server/telemetry/logger.ts";
import { until } from "../../support/wait.ts";
import { POISON } from "./support/echo-engine.ts";
import { createListener } from "./support/listener.ts";
import { SfuPeer } from "./support/sfu-peer.ts";
import { specOf } from "./support/spec.ts";

const ENTRY = path.join(import.meta.dirname, "support/echo-child.ts");
const HARMLESS = 0x5a;
/** Several processes start one after another, on a machine that others use too. */
const PATIENCE_MS = 120_000;

async function setUp(quarantine = {}) {
  const metrics = createEngineMetrics(new Registry());
  const pool = new EnginePool({
    metrics,
    quarantine,
    engines: [
      {
        engine: { modelDir: "echo", backend: "cpu", computeThreads: 1, maxSessions: 8 },
        logger: createLogger(process.env.DRIFTLESS_TEST_LOG ?? "silent"),
        metrics,
        openLink: ipcLink(ENTRY),
        // Other tests share the machine: frames may be late, and are what counts.
        heartbeatLimitMs: 10_000,
        suspicion: { patienceMs: 20_000 },
      },
    ],
  });
  await pool.start();
  const [shared] = pool.engines;
  if (shared === undefined) throw new Error("no engine");
  const ends: (() => void)[] = [];
  /** A camera with its session; its frames are what `fill` says. */
  const join = async (id: string, owner = id) => {
    const peer = await SfuPeer.create();
    const listening = createListener();
    let fill = HARMLESS;
    ends.push(() => peer.close());
    const { session, localPort } = await pool.open(specOf(peer, id), 1, listening.listener, {
      owner,
    });
    peer.connect(localPort);
    ends.unshift(peer.startCamera({ everyKeyFrame: true, fill: () => fill }));
    await until("frames", () => peer.rtp.length > 3);
    const turn = (bad: boolean) => {
      fill = bad ? POISON : HARMLESS;
    };
    return { ...listening, id, peer, session, turn };
  };
  const close = async () => {
    for (const end of ends) end();
    await pool.close();
  };
  const outcome = async (name: string) =>
    (await metrics.engineQuarantines.get()).values.find(({ labels }) => labels.outcome === name)
      ?.value ?? 0;
  return { close, join, metrics, outcome, pool, shared };
}

/** Longest time without a packet for each peer until stopped. */
function watchGaps(peers: SfuPeer[]) {
  const state = peers.map((peer) => ({ peer, seen: peer.rtp.length, sinceMs: performance.now() }));
  const gaps = peers.map(() => 0);
  const timer = setInterval(() => {
    const nowMs = performance.now();
    state.forEach((each, index) => {
      gaps[index] = Math.max(gaps[index] ?? 0, nowMs - each.sinceMs);
      if (each.peer.rtp.length !== each.seen) {
        each.seen = each.peer.rtp.length;
        each.sinceMs = nowMs;
      }
    });
  }, 20);
  return () => {
    clearInterval(timer);
    return gaps;
  };
}

describe("a stream that crashes the engine", function () {
  this.timeout(150_000);
  let context: Awaited<ReturnType<typeof setUp>>;
  afterEach(() => context.close());

  it("goes on alone after its second crash, and is refused after three more; others lose seconds", async () => {
    context = await setUp();
    const { join, metrics, outcome, pool, shared } = context;
    const ann = await join("ann");
    const bad = await join("bad");
    const bob = await join("bob");
    // All have settled: the trace alone can tell who it was.
    await new Promise((resolve) => setTimeout(resolve, 600));
    const gaps = watchGaps([ann.peer, bob.peer]);
    bad.turn(true);
    await until("the verdict", () => bad.heard.includes("lost POISON"), PATIENCE_MS);
    // Two where the trace is right, up to five where others were served between frame and crash.
    expect(shared.restarts).to.be.within(2, 5);
    const longestMs = Math.max(...gaps());
    // Starts of processes on a busy machine, and never a rest of a minute. How long it takes apart from
    // them is held by suspicion.test.ts.
    expect(longestMs).to.be.below(30_000);
    expect(pool.quarantine.sessions).to.equal(0);
    expect(await outcome("tried")).to.equal(1);
    expect(await outcome("refused")).to.equal(1);
    const crashes = (await metrics.engineCrashes.get()).values;
    const inQuarantine = crashes.find(({ labels }) => labels.engine === "quarantine");
    expect(inQuarantine).to.deep.include({ labels: { cause: "signal", engine: "quarantine" } });
    expect(inQuarantine?.value).to.equal(3);
    const before = [ann.peer.rtp.length, bob.peer.rtp.length];
    await until("frames of the others", () =>
      [ann, bob].every(({ peer }, index) => peer.rtp.length > (before[index] ?? 0) + 5),
    );
    expect(ann.heard).not.to.include("lost POISON");

    // With another session, it is not let near the others again, however harmless it looks.
    await until("the quarantine", () => pool.quarantine.engine?.state === "ready", PATIENCE_MS);
    const { restarts } = shared;
    const again = await join("bad again", "bad");
    expect(pool.quarantine.sessions).to.equal(1);
    again.turn(true);
    await until("the verdict", () => again.heard.includes("lost POISON"), PATIENCE_MS);
    expect(shared.restarts).to.equal(restarts);
  });

  it("does so although two do it at once", async () => {
    context = await setUp();
    const { join, pool, shared } = context;
    const ann = await join("ann");
    const one = await join("one");
    const two = await join("two");
    await new Promise((resolve) => setTimeout(resolve, 600));
    one.turn(true);
    two.turn(true);
    await until(
      "both verdicts",
      () => [one, two].every(({ heard }) => heard.includes("lost POISON")),
      PATIENCE_MS,
    );
    expect(shared.restarts).to.be.at.most(10);
    const before = ann.peer.rtp.length;
    await until("frames", () => ann.peer.rtp.length > before + 5);
    expect(pool.quarantine.sessions).to.equal(0);
  });

  it("finds settings that crash the engine while they are taken", async () => {
    context = await setUp();
    const { join, pool } = context;
    const ann = await join("ann");
    const bad = await join("bad");
    const { transform } = specOf(bad.peer, "x");
    bad.session.setTransform({ ...transform, prompt: "crash" }, 2);
    await until("the verdict", () => bad.heard.includes("lost POISON"), PATIENCE_MS);
    const before = ann.peer.rtp.length;
    await until("frames", () => ann.peer.rtp.length > before + 5);
    expect(pool.health).to.deep.equal({ configured: 1, up: 1 });
  });

  it("goes back to the others when it has behaved and another one needs the place", async () => {
    context = await setUp({ paroleMs: 300 });
    const { join, outcome, pool, shared } = context;
    const ann = await join("ann");
    const reformed = await join("reformed");
    const bad = await join("bad");
    await new Promise((resolve) => setTimeout(resolve, 600));
    reformed.turn(true);
    await until("the quarantine", () => pool.quarantine.sessions === 1);
    reformed.turn(false);
    const { length } = reformed.peer.rtp;
    await until("frames alone", () => reformed.peer.rtp.length > length + 5);
    expect(shared.sessions).to.equal(2);
    bad.turn(true);
    await until("the verdict", () => bad.heard.includes("lost POISON"), PATIENCE_MS);
    await until("the return", () => shared.sessions === 2 && pool.quarantine.sessions === 0);
    expect(await outcome("released")).to.be.at.least(1);
    const before = [ann.peer.rtp.length, reformed.peer.rtp.length];
    await until("frames together", () =>
      [ann, reformed].every(({ peer }, index) => peer.rtp.length > (before[index] ?? 0) + 5),
    );
    expect(reformed.heard).not.to.include("lost POISON");
  });

  it("tells who opens it anew that it will not be taken, when it crashes at once", async () => {
    context = await setUp();
    const { pool } = context;
    const peer = await SfuPeer.create();
    const spec = specOf(peer, "fatal", { prompt: "crash at once" });
    let last: unknown;
    for (let attempt = 0; attempt < 50; attempt += 1) {
      last = await pool
        .open({ ...spec, sessionId: `fatal ${attempt}` }, 1, createListener().listener, {
          owner: "fatal",
        })
        .catch((error: unknown) => error);
      if (!(last instanceof EngineUnavailableError) || last.retryAfterMs === null) break;
      const { retryAfterMs } = last;
      await new Promise((resolve) => setTimeout(resolve, Math.min(retryAfterMs, 1000)));
    }
    expect(last).to.be.instanceOf(EngineUnavailableError);
    expect((last as EngineUnavailableError).message).to.contain("again and again");
    expect(context.shared.restarts).to.equal(2);
    peer.close();
  });
});
