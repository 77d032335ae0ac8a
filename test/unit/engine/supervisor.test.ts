import { fork } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { expect } from "chai";
import { Registry } from "prom-client";
import { EngineUnavailableError } from "../../../server/engine/engine-error.ts";
import { ipcLink } from "../../../server/engine/link/ipc-link.ts";
import { createEngineMetrics } from "../../../server/engine/metrics.ts";
import {
  RemoteSession,
  type RemoteSessionListener,
} from "../../../server/engine/remote-session.ts";
import type { EngineSupervisorOptions } from "../../../server/engine/supervisor.ts";
import { EngineSupervisor } from "../../../server/engine/supervisor.ts";
import { createLogger } from "../../../server/telemetry/logger.ts";
import { until } from "../../support/wait.ts";
import { createListener } from "./support/listener.ts";
import { SfuPeer } from "./support/sfu-peer.ts";
import { specOf } from "./support/spec.ts";

const ENTRY = path.join(import.meta.dirname, "support/echo-child.ts");

function createSupervisor(over: Partial<EngineSupervisorOptions> = {}, modelDir = "echo") {
  const metrics = createEngineMetrics(new Registry());
  const supervisor = new EngineSupervisor({
    engine: { modelDir, backend: "cpu", computeThreads: 1, maxSessions: 3 },
    logger: createLogger("silent"),
    metrics,
    openLink: ipcLink(ENTRY),
    ...over,
  });
  return { metrics, supervisor };
}

async function openIn(
  supervisor: EngineSupervisor,
  spec: ReturnType<typeof specOf>,
  listener: RemoteSessionListener,
) {
  const session = new RemoteSession(spec, 1, listener);
  const { port } = await supervisor.open(session);
  return { session, localPort: port };
}

/** Whether a process exists (signal 0 only asks). */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("EngineSupervisor", function () {
  this.timeout(60_000);

  it("starts an engine, and leaves no process behind", async () => {
    const { metrics, supervisor } = createSupervisor();
    await supervisor.start();
    const pid = supervisor.pid ?? 0;
    expect(supervisor.info?.model).to.equal("echo");
    expect((await metrics.engineUp.get()).values[0]?.value).to.equal(1);
    await supervisor.close();
    expect(isAlive(pid)).to.equal(false);
  });

  it("stays closed when it is closed while it starts", async () => {
    const { metrics, supervisor } = createSupervisor();
    const started = supervisor.start().then(
      () => "started",
      (error: Error) => error.message,
    );
    await supervisor.close();
    expect(await started).to.contain("closed before it had started");
    expect(supervisor.state).to.equal("stopped");
    expect(supervisor.pid).to.equal(undefined);
    expect((await metrics.engineUp.get()).values[0]?.value).to.equal(0);
  });

  it("passes on why an engine cannot start, and does not retry then", async () => {
    for (const [modelDir, words, startLimitMs] of [
      ["missing", "expected a model in the folder missing", 20_000],
      ["crash", "exited with code 3", 20_000],
      ["never", "not ready after 500 ms", 500],
    ] as const) {
      const { supervisor } = createSupervisor({ startLimitMs }, modelDir);
      const problem = await supervisor.start().then(
        () => "none",
        (error: Error) => error.message,
      );
      expect(problem).to.contain(words);
      expect(supervisor.state).to.equal("stopped");
    }
  });

  it("resumes a session after kill -9: same port, same SSRC, numbers going on", async () => {
    const { metrics, supervisor } = createSupervisor();
    await supervisor.start();
    const peer = await SfuPeer.create();
    const { heard, latest, listener } = createListener();
    const { session, localPort } = await openIn(supervisor, specOf(peer, "one"), listener);
    peer.connect(localPort);
    const stop = peer.startCamera();
    await until("frames", () => heard.includes("live") && (latest()?.framesOut ?? 0) > 5);
    session.setTransform({ ...specOf(peer, "x").transform, prompt: "another" }, 2);
    await until("the change", () => heard.includes("applied 2"));
    stop();

    const before = peer.rtp.length;
    const pid = supervisor.pid ?? 0;
    process.kill(pid, "SIGKILL");
    await until("the notice", () => heard.includes("suspended"));
    await until("the restart", () => heard.includes("resumed"));
    expect(supervisor.pid).not.to.equal(pid);
    const stopAgain = peer.startCamera();
    await until("frames again", () => peer.rtp.length > before + 3);
    stopAgain();

    const last = peer.rtp[before - 1]?.header;
    const next = peer.rtp[before]?.header;
    expect(next?.ssrc).to.equal(last?.ssrc);
    const step = ((next?.sequenceNumber ?? 0) - (last?.sequenceNumber ?? 0)) & 0xffff;
    expect(step).to.be.within(1, 1000);
    const ticks = ((next?.timestamp ?? 0) - (last?.timestamp ?? 0)) >>> 0;
    expect(ticks / 90).to.be.within(1, 30_000);
    // The settings of before: the new process reports the revision that it was opened with.
    await until("settings applied anew", () => heard.filter((h) => h === "applied 2").length === 2);
    expect((await metrics.engineRestarts.get()).values[0]?.value).to.equal(1);
    peer.close();
    await supervisor.close();
  });

  it("moves sessions to a new process when the engine says that its GPU is lost", async () => {
    const { supervisor } = createSupervisor();
    await supervisor.start();
    const peer = await SfuPeer.create();
    const { heard, listener } = createListener();
    const { session } = await openIn(supervisor, specOf(peer, "one"), listener);
    const pid = supervisor.pid ?? 0;
    session.setTransform({ ...specOf(peer, "x").transform, prompt: "lose the GPU" }, 2);
    await until("the notice", () => heard.includes("suspended"));
    session.setTransform({ ...specOf(peer, "x").transform, prompt: "go on" }, 3);
    await until("the restart", () => heard.includes("resumed"));
    expect(supervisor.pid).not.to.equal(pid);
    expect(isAlive(pid)).to.equal(false);
    peer.close();
    await supervisor.close();
  });

  it("notices an engine that hangs", async () => {
    const { supervisor } = createSupervisor({ heartbeatLimitMs: 1000 });
    await supervisor.start();
    const pid = supervisor.pid ?? 0;
    process.kill(pid, "SIGSTOP");
    await until("another process", () => supervisor.restarts === 1 && supervisor.state === "ready");
    expect(isAlive(pid)).to.equal(false);
    await supervisor.close();
  });

  it("rests when it crashes with nobody in it, says so, and goes on trying", async () => {
    const { metrics, supervisor } = createSupervisor({
      restart: { firstDelayMs: 10, maxRestMs: 700 },
    });
    await supervisor.start();
    const peer = await SfuPeer.create();
    const { listener } = createListener();
    for (let crash = 1; supervisor.state !== "resting"; crash += 1) {
      const pid = await until("a process", () => supervisor.state === "ready" && supervisor.pid);
      process.kill(pid, "SIGKILL");
      await until("the notice", () => supervisor.restarts === crash);
    }
    expect(supervisor.restarts).to.equal(3);
    expect((await metrics.engineGaveUp.get()).values[0]?.value).to.equal(1);
    const refusal = await openIn(supervisor, specOf(peer, "two"), listener).then(
      () => null,
      (error: unknown) => error,
    );
    expect(refusal).to.be.instanceOf(EngineUnavailableError);
    expect((refusal as EngineUnavailableError).message).to.contain("crashes by itself");
    expect((refusal as EngineUnavailableError).retryAfterMs).to.be.within(1, 60_000);
    await until("a next attempt", () => supervisor.state === "ready");
    peer.close();
    await supervisor.close();
  });

  it("obeys SIGTERM, which the supervisor takes for a crash", async () => {
    const { supervisor } = createSupervisor();
    await supervisor.start();
    const pid = supervisor.pid ?? 0;
    process.kill(pid, "SIGTERM");
    await until("the end", () => !isAlive(pid));
    await until("another process", () => supervisor.state === "ready" && supervisor.restarts === 1);
    await supervisor.close();
  });

  for (const modelDir of ["echo", "hang"]) {
    it(`ends with its parent when that is killed (${modelDir})`, async () => {
      const script = path.join(import.meta.dirname, "support/supervisor-parent.ts");
      const parent = fork(script, [modelDir], { execArgv: [], stdio: ["ignore", 2, 2, "ipc"] });
      const [pid] = (await once(parent, "message")) as [number];
      await new Promise((resolve) => setTimeout(resolve, 600));
      expect(isAlive(pid)).to.equal(true);
      parent.kill("SIGKILL");
      await until("the end", () => !isAlive(pid));
    });
  }

  it("refuses sessions while there is no engine", async () => {
    const { supervisor } = createSupervisor();
    const peer = await SfuPeer.create();
    const { listener } = createListener();
    const refusal = await openIn(supervisor, specOf(peer, "one"), listener).then(
      () => "none",
      (error: Error) => error.message,
    );
    expect(refusal).to.contain("engine");
    peer.close();
  });

  it("passes the engine's refusal of a session on", async () => {
    const { supervisor } = createSupervisor();
    await supervisor.start();
    const peer = await SfuPeer.create();
    const { listener } = createListener();
    const spec = specOf(peer, "one");
    const refused = { ...spec, transform: { ...spec.transform, prompt: "refuse" } };
    const refusal = await openIn(supervisor, refused, listener).then(
      () => "none",
      (error: Error) => error.message,
    );
    expect(refusal).to.contain("expected another prompt");
    peer.close();
    await supervisor.close();
  });
});
