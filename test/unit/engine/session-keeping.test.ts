/** Sessions and places over engines that answer as they are told. */
import { expect } from "chai";
import { Registry } from "prom-client";
import { EngineFullError, EngineUnavailableError } from "../../../server/engine/engine-error.ts";
import { createEngineMetrics } from "../../../server/engine/metrics.ts";
import { EnginePool } from "../../../server/engine/pool.ts";
import type { EngineMessage, EngineTransform } from "../../../server/engine/protocol.ts";
import type { SessionSpec } from "../../../server/engine/remote-session.ts";
import type { DriftlessError } from "../../../server/errors.ts";
import { createLogger } from "../../../server/telemetry/logger.ts";
import { until } from "../../support/wait.ts";
import { accepts, FAKE_IP, FakeEngine } from "./support/fake-engine.ts";
import { createListener } from "./support/listener.ts";

const restyle: EngineTransform = {
  ...{ mode: "restyle", prompt: "oil", strength: 1, steps: 1, seed: 0 },
};
const hidden: EngineTransform = { ...restyle, mode: "background", prompt: "beach" };

function specOf(sessionId: string, transform = restyle): SessionSpec {
  const ends = { ssrc: 1, payloadType: 101, codec: "vp8" as const, absCaptureTimeId: null };
  return {
    sessionId,
    transport: { ip: "127.0.0.1", port: 4000 },
    input: ends,
    output: {
      ...{
        ...ends,
        cname: "c",
        sequenceStart: 0,
        pictureIdStart: 0,
        timestampOffset: 0,
        low: null,
      },
    },
    ...{ bitrateBps: 500_000, maxFps: 30, delayBudgetMs: 250, transform },
  };
}

async function setUp({ engines = 1, maxSessions = 2, openLimitMs = 10_000 } = {}) {
  const fakes = Array.from({ length: engines }, () => new FakeEngine());
  const metrics = createEngineMetrics(new Registry());
  const logger = createLogger("silent");
  const pool = new EnginePool({
    metrics,
    engines: fakes.map(({ openLink }) => ({
      engine: { modelDir: "", backend: "cpu", computeThreads: 1, maxSessions },
      ...{ logger, metrics, openLink, openLimitMs },
      restart: { firstDelayMs: 5 },
      heartbeatLimitMs: 600_000,
    })),
  });
  await pool.start();
  const [fake] = fakes;
  if (fake === undefined) throw new Error("no engine");
  const open = async (id: string, transform = restyle) => {
    const listening = createListener();
    const opened = await pool.open(specOf(id, transform), 1, listening.listener);
    return { ...listening, ...opened };
  };
  return { fake, fakes, open, pool };
}

function fails<T>(work: Promise<T> | (() => T)): Promise<unknown> {
  return Promise.resolve()
    .then(() => (typeof work === "function" ? work() : work))
    .then(
      () => "no error",
      (error: unknown) => error,
    );
}

function error(sessionId: string, code: "full" | "port" | "refused" | "broken"): EngineMessage {
  return { type: "sessionError", sessionId, code, message: `no: ${code}`, fatal: true };
}

describe("sessions over engines", function () {
  this.timeout(30_000);
  let context: Awaited<ReturnType<typeof setUp>>;
  beforeEach(async () => {
    context = await setUp();
  });
  afterEach(() => context.pool.close());

  it("takes the address of media from the link", async () => {
    const { fake, open } = context;
    const { engineIp, localPort } = await open("a");
    expect([engineIp, localPort]).to.deep.equal([FAKE_IP, 5000]);
    expect(fake.all("openSession")[0]?.localIp).to.equal(FAKE_IP);
  });

  it("tries a session again whose reopening fails, for as long as it is wanted", async () => {
    const { fake, open, pool } = context;
    const { heard, session } = await open("a");
    fake.answer = (message) =>
      message.type === "openSession" ? error("a", "broken") : accepts(message);
    fake.crash({ cause: "killed" });
    await until("three attempts", () => fake.all("openSession").length >= 4);
    expect(heard).to.deep.equal(["suspended"]);
    fake.answer = accepts;
    await until("the return", () => heard.includes("resumed"));

    fake.answer = (message) =>
      message.type === "openSession" ? error("a", "full") : accepts(message);
    fake.crash({ cause: "killed" });
    const before = fake.all("openSession").length;
    await until("an attempt", () => fake.all("openSession").length > before);
    pool.closeSession(session);
    const last = fake.all("openSession").length;
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(fake.all("openSession").length).to.equal(last);
  });

  it("says that a new tap is needed when the port stays taken", async () => {
    const { fake, open } = context;
    const { heard } = await open("a");
    fake.answer = (message) =>
      message.type === "openSession" ? error("a", "port") : accepts(message);
    fake.crash({ cause: "killed" });
    await until("the loss", () => heard.includes("lost MOVED"));
    expect(fake.all("openSession").length).to.equal(5);
  });

  it("tells full from broken, and from what will never be taken", async () => {
    const { fake, open } = context;
    for (const [code, kind, retry] of [
      ["full", EngineFullError, undefined],
      ["broken", EngineUnavailableError, 1000],
      ["refused", EngineUnavailableError, null],
    ] as const) {
      fake.answer = ({ sessionId }) => error(sessionId, code);
      const refusal = await fails(open(code));
      expect(refusal).to.be.instanceOf(kind);
      if (refusal instanceof EngineUnavailableError) {
        expect(refusal.retryAfterMs).to.equal(retry);
      } else {
        expect((refusal as EngineFullError).limit).to.equal("maxSessions");
      }
    }
  });

  it("leaves nothing behind when an opening is called off, or takes too long", async () => {
    const { fake, pool } = context;
    fake.answer = () => null;
    const abort = new AbortController();
    const { listener } = createListener();
    const { signal } = abort;
    const opening = pool.open(specOf("a"), 1, listener, { signal, place: pool.reserve() });
    await until("the question", () => fake.all("openSession").length === 1);
    expect(pool.places.used).to.equal(1);
    abort.abort(new Error("the camera stopped"));
    expect(String(await fails(opening))).to.contain("the camera stopped");
    expect(fake.all("closeSession").map(({ sessionId }) => sessionId)).to.deep.equal(["a"]);
    expect(pool.places.used).to.equal(0);
    const slow = await setUp({ openLimitMs: 50 });
    slow.fake.answer = () => null;
    expect(String(await fails(slow.open("b")))).to.contain("no answer within 50 ms");
    expect(slow.pool.places.used).to.equal(0);
    await slow.pool.close();
  });

  it("tells of refused settings, and comes back with those that were accepted last", async () => {
    const { fake, open } = context;
    const { heard, session } = await open("a");
    session.setTransform({ ...restyle, prompt: "ink" }, 2);
    fake.answer = (message) =>
      message.type === "setTransform"
        ? { type: "transformRefused", sessionId: "a", revision: message.revision, message: "no" }
        : accepts(message);
    await new Promise((resolve) => setTimeout(resolve, 20));
    session.setTransform({ ...restyle, prompt: "bad" }, 3);
    await until("the refusal", () => heard.includes("refused 3"));
    fake.crash({ cause: "killed" });
    await until("the return", () => heard.includes("resumed"));
    expect(fake.all("openSession").at(-1)).to.deep.include({ revision: 2 });
    expect(fake.all("openSession").at(-1)?.transform.prompt).to.equal("ink");
  });

  it("ends a session at once whose room would stay in sight after a refusal", async () => {
    const { fake, open, pool } = context;
    const { heard, session } = await open("a");
    fake.answer = (message) =>
      message.type === "setTransform"
        ? { type: "transformRefused", sessionId: "a", revision: message.revision, message: "no" }
        : accepts(message);
    session.setTransform(hidden, 2);
    await until("the end", () => heard.includes("lost REFUSED"));
    expect(heard).to.deep.equal(["refused 2", "lost REFUSED"]);
    expect(fake.all("closeSession").length).to.equal(1);
    expect(pool.places.used).to.equal(0);
  });

  it("comes back with the room hidden although the engine died before it answered", async () => {
    const { fake, open } = context;
    const { heard, session } = await open("a");
    fake.answer = (message) => (message.type === "setTransform" ? null : accepts(message));
    session.setTransform(hidden, 2);
    fake.crash({ cause: "killed" });
    await until("the return", () => heard.includes("resumed"));
    expect(fake.all("openSession").map(({ transform }) => transform.mode)).to.deep.equal([
      "restyle",
      "background",
    ]);
  });

  it("gives what was asked during a restart to the new process", async () => {
    const { fake, open } = context;
    const { heard, session } = await open("a");
    fake.crash({ cause: "killed" });
    session.setTransform({ ...restyle, prompt: "ink" }, 2);
    await until("the change", () => fake.all("setTransform").length === 1);
    expect(heard).to.deep.equal(["suspended", "resumed"]);
    expect(fake.all("setTransform")[0]?.revision).to.equal(2);
  });

  it("holds places, so that two at once cannot take the last one", async () => {
    const { open, pool } = context;
    let freed = 0;
    const end = pool.onPlacesFree(() => {
      freed += 1;
    });
    expect(pool.places).to.deep.equal({ total: 2, used: 0, free: 2, limit: "maxSessions" });
    const { session } = await open("a");
    const place = pool.reserve();
    expect(pool.places).to.include({ used: 2, free: 0 });
    const refusal = await fails(() => pool.reserve());
    expect(refusal).to.be.instanceOf(EngineFullError);
    expect((refusal as EngineFullError).message).to.contain("all 2 places");
    expect(await fails(open("b"))).to.be.instanceOf(EngineFullError);
    expect(freed).to.equal(0);
    // Taken over by its session in one step: nobody is told of a free place between.
    const { listener } = createListener();
    const held = await pool.open(specOf("c"), 1, listener, { place });
    place.release();
    expect(freed).to.equal(0);
    expect(pool.places.free).to.equal(0);
    pool.closeSession(session);
    pool.closeSession(held.session);
    expect(freed).to.equal(2);
    end();
    pool.reserve().release();
    expect(freed).to.equal(2);
  });

  it("counts the engines that are up, and is ready while one is", async () => {
    const { fakes, pool } = await setUp({ engines: 2 });
    expect(pool.health).to.deep.equal({ configured: 2, up: 2 });
    expect(pool.places.total).to.equal(4);
    fakes[0]?.crash({ cause: "killed" });
    expect(pool.health).to.deep.equal({ configured: 2, up: 1 });
    expect(pool.ready).to.equal(true);
    expect(pool.places.total).to.equal(2);
    fakes[1]?.crash({ cause: "killed" });
    const refusal = await fails(() => pool.reserve());
    expect(refusal).to.be.instanceOf(EngineUnavailableError);
    expect((refusal as EngineUnavailableError).retryAfterMs).to.be.greaterThan(0);
    await until("the restart", () => pool.health.up === 2);
    await pool.close();
  });

  it("takes no more when it drains; those that are open go on", async () => {
    const { fake, open, pool } = context;
    const { heard, session } = await open("a");
    pool.drain();
    for (const refusal of [await fails(() => pool.reserve()), await fails(open("b"))]) {
      expect((refusal as DriftlessError).code).to.equal("SHUTTING_DOWN");
    }
    session.setTransform({ ...restyle, prompt: "ink" }, 2);
    fake.say({ type: "applied", sessionId: "a", revision: 2, captureTimeMs: 1, complete: true });
    expect(heard).to.deep.equal(["applied 2"]);
  });

  it("names the memory as the limit that binds", async () => {
    const { fake, pool } = context;
    fake.memory = { limitBytes: 1150, modelBytes: 1000, sessionBytes: 100 };
    fake.crash({ cause: "killed" });
    await until("the restart", () => fake.lives === 2 && pool.ready);
    expect(pool.places).to.deep.equal({ total: 1, used: 0, free: 1, limit: "memory" });
    pool.reserve();
    const refusal = await fails(() => pool.reserve());
    expect((refusal as EngineFullError).limit).to.equal("memory");
    expect((refusal as EngineFullError).message).to.contain("engine.memoryLimitMb");
  });
});
