import path from "node:path";
import { expect } from "chai";
import { Registry } from "prom-client";
import { ipcLink } from "../../../server/engine/link/ipc-link.ts";
import { createEngineMetrics } from "../../../server/engine/metrics.ts";
import { EnginePool } from "../../../server/engine/pool.ts";
import { createLogger } from "../../../server/telemetry/logger.ts";
import { until } from "../../support/wait.ts";
import { createListener } from "./support/listener.ts";
import { SfuPeer } from "./support/sfu-peer.ts";
import { specOf } from "./support/spec.ts";

const ENTRY = path.join(import.meta.dirname, "support/echo-child.ts");

function createPool(models: string[], maxSessions = 3) {
  const metrics = createEngineMetrics(new Registry());
  const pool = new EnginePool({
    metrics,
    engines: models.map((modelDir) => ({
      engine: { modelDir, backend: "cpu", computeThreads: 1, maxSessions },
      logger: createLogger("silent"),
      metrics,
      openLink: ipcLink(ENTRY),
    })),
  });
  const up = async () => (await metrics.engineUp.get()).values[0]?.value;
  return { engines: pool.engines, pool, up };
}

describe("EnginePool", function () {
  this.timeout(60_000);

  let peer: SfuPeer;
  before(async () => {
    peer = await SfuPeer.create();
  });
  after(() => peer.close());

  const open = (pool: EnginePool, id: string, listener = createListener().listener) =>
    pool.open(specOf(peer, id), 1, listener);
  const problemOf = (work: Promise<unknown>) =>
    work.then(
      () => "none",
      (error: Error) => error.message,
    );

  it("opens sessions where the fewest are, and refuses when all engines are full", async () => {
    const { engines, pool, up } = createPool(["echo", "echo"], 2);
    expect(pool.ready).to.equal(false);
    expect(await problemOf(open(pool, "early"))).to.contain("starting");
    await pool.start();
    expect(pool.ready).to.equal(true);
    expect(await up()).to.equal(2);
    const counts = () => engines.map((engine) => engine.sessions);
    const first = await open(pool, "1");
    await open(pool, "2");
    expect(counts()).to.deep.equal([1, 1]);
    await open(pool, "3");
    await open(pool, "4");
    expect(counts()).to.deep.equal([2, 2]);
    expect(await problemOf(open(pool, "5"))).to.contain("all 4 places");
    expect(counts()).to.deep.equal([2, 2]);
    pool.closeSession(first.session);
    expect(counts()).to.deep.equal([1, 2]);
    await open(pool, "6");
    expect(counts()).to.deep.equal([2, 2]);
    await pool.close();
    expect(pool.ready).to.equal(false);
    expect(await up()).to.equal(0);
  });

  it("loses one engine: its sessions come back there, the others notice nothing", async () => {
    const { engines, pool, up } = createPool(["echo", "echo"]);
    await pool.start();
    const one = createListener();
    const two = createListener();
    await open(pool, "one", one.listener);
    await open(pool, "two", two.listener);
    process.kill(engines[0]?.pid ?? 0, "SIGKILL");
    await until("the notice", () => one.heard.includes("suspended"));
    expect(pool.ready).to.equal(true);
    expect(await up()).to.equal(1);
    await open(pool, "three");
    expect(engines[1]?.sessions).to.equal(2);
    await until("the restart", () => one.heard.includes("resumed"));
    expect(engines.map((engine) => engine.sessions)).to.deep.equal([1, 2]);
    expect(await up()).to.equal(2);
    expect(two.heard).not.to.include("suspended");
    await pool.close();
  });

  it("does not start when one engine cannot, and leaves no process behind", async () => {
    const { engines, pool } = createPool(["echo", "missing"]);
    expect(await problemOf(pool.start())).to.contain("expected a model in the folder missing");
    expect(engines.map((engine) => engine.state)).to.deep.equal(["stopped", "stopped"]);
    expect(engines[0]?.pid).to.equal(undefined);
  });
});
