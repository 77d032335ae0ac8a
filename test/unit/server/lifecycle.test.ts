/** The program itself: start, bad starts, clean end, and the death of a media worker. */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import path from "node:path";
import { expect } from "chai";
import { PROJECT_ROOT } from "../../../server/config/load.ts";
import { eventually, freeRtcPort, startTestServer, TestClient } from "./support.ts";

interface Program {
  child: ChildProcess;
  stdout(): string;
  stderr(): string;
  exited: Promise<number | null>;
}

function run(env: Record<string, string>): Program {
  const child = spawn(process.execPath, [path.join(PROJECT_ROOT, "server/main.ts")], {
    env: { ...process.env, DRIFTLESS__ENGINE__ENABLED: "false", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    // A process group of its own, to send signals as a terminal does.
    detached: true,
  });
  const out = { stdout: "", stderr: "" };
  child.stdout.on("data", (data) => {
    out.stdout += data;
  });
  child.stderr.on("data", (data) => {
    out.stderr += data;
  });
  return {
    child,
    stdout: () => out.stdout,
    stderr: () => out.stderr,
    exited: new Promise((resolve) => child.once("close", resolve)),
  };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    // No such process.
    return false;
  }
}

describe("the server program", function () {
  // Starting a Node process takes seconds on a busy machine.
  this.timeout(40_000);

  async function ports(): Promise<Record<string, string>> {
    const base = await freeRtcPort();
    return {
      DRIFTLESS__HTTP__PORT: "0",
      DRIFTLESS__SFU__RTCMINPORT: String(base),
      DRIFTLESS__SFU__RTCMAXPORT: String(base + 29),
    };
  }

  async function until(program: Program, what: string, look: () => boolean) {
    const endMs = performance.now() + 30_000;
    while (!look()) {
      if (performance.now() > endMs || program.child.exitCode !== null) {
        throw new Error(`Expected ${what}, got:\n${program.stdout()}${program.stderr()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  it("prints a room's address, and on SIGTERM says goodbye and leaves no process", async () => {
    const program = run(await ports());
    try {
      await until(program, "the ready line", () => program.stdout().includes("\n"));
      const line = program.stdout().trim().split("\n").at(-1) ?? "";
      const [, url] = /^Driftless is ready: (http:\/\/127\.0\.0\.1:\d+)\/r\/\w+$/.exec(line) ?? [];
      const workerPid = Number(/"pid":(\d+)/.exec(program.stderr())?.[1]);
      expect(isAlive(workerPid)).to.equal(true);

      const client = new TestClient(String(url));
      await client.join("studio", "ada");
      // Calls may come to their end first, and nobody is let in any more.
      program.child.kill("SIGTERM");
      const { secondsLeft } = await client.event("server:draining");
      expect(secondsLeft).to.equal(5);
      const late = new TestClient(String(url));
      const refused = await late.join("another", "ben").catch(String);
      late.close();
      expect(refused).to.include("SHUTTING_DOWN");
      expect((await client.request("transform:get", {})).state).to.equal("off");
      const started = performance.now();
      await client.request("leave", {});
      expect(await program.exited).to.equal(0);
      expect(performance.now() - started).to.be.below(5000);
      expect(client.all("server:closing")).to.have.length(1);
      client.close();
      await eventually("the media worker to end", () => !isAlive(workerPid) || undefined);
    } finally {
      program.child.kill("SIGKILL");
    }
  });

  it("ends quietly on Ctrl-C, which its media workers get too", async () => {
    const program = run(await ports());
    const pid = program.child.pid ?? 0;
    try {
      await until(program, "the ready line", () => program.stdout().includes("\n"));
      process.kill(-pid, "SIGINT");
      expect(await program.exited).to.equal(0);
      expect(program.stderr()).not.to.include("died");
    } finally {
      program.child.kill("SIGKILL");
    }
  });

  it("names a wrong setting and exits with 1", async () => {
    const program = run({ DRIFTLESS__HTTP__PROT: "1" });
    expect(await program.exited).to.equal(1);
    expect(program.stderr()).to.include('DRIFTLESS__HTTP__PROT: unknown setting "PROT"');
    expect(program.stdout()).to.equal("");
  });

  it("names a port that is taken, leaves no worker behind and exits with 1", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as { port: number };
    const program = run({ ...(await ports()), DRIFTLESS__HTTP__PORT: String(port) });
    expect(await program.exited).to.equal(1);
    taken.close();
    expect(program.stderr()).to.include(`port ${port} is taken by another program`);
    expect(program.stderr()).to.include("DRIFTLESS__HTTP__PORT");
    const workerPid = Number(/"pid":(\d+)/.exec(program.stderr())?.[1]);
    await eventually("the media worker to end", () => !isAlive(workerPid) || undefined);
  });

  it("names a media port that is taken", async () => {
    const taken = createServer();
    const base = await freeRtcPort();
    await new Promise<void>((resolve) => taken.listen(base, "127.0.0.1", resolve));
    const failure = await startTestServer({ sfu: { rtcMinPort: base, rtcMaxPort: base + 29 } })
      .then((server) => server.close())
      .catch(String);
    taken.close();
    expect(failure).to.include(`127.0.0.1:${base}`).and.include("DRIFTLESS__SFU__RTCMINPORT");
  });
});

describe("death of a media worker", () => {
  it("is noticed, and its rooms are rebuilt for clients to join again", async function () {
    this.timeout(20_000);
    const server = await startTestServer();
    const [ada, ben] = [new TestClient(server.url), new TestClient(server.url)];
    try {
      const { participantId: adaId } = await ada.join("phoenix", "ada");
      await ben.join("phoenix", "ben");
      await ada.publish("camera");
      const [pid] = server.pool.pids;
      process.kill(Number(pid), "SIGKILL");

      for (const client of [ada, ben]) {
        const rebuilt = await client.event("room:rebuilt");
        expect(rebuilt).to.deep.equal({ roomId: "phoenix", reason: "the media worker died" });
        expect(client.all("participant:left")).to.deep.equal([]);
      }
      expect(server.pool.pids).to.have.length(1).and.not.include(pid);

      // The same people in the same room, on the same connections: only the media is new.
      const again = await ada.join("phoenix", "ada");
      expect(again).to.include({ participantId: adaId, resumed: true, mediaKept: false });
      expect(again.participants.map((person) => person.identity)).to.deep.equal(["ben"]);
      await ada.publish("camera");
      await ben.join("phoenix", "ben");
      await ben.subscribe(again.routerRtpCapabilities);
      expect(await ben.event("consumer:new")).to.include({ participantId: adaId });

      const metrics = await server.metrics.registry.metrics();
      expect(metrics).to.match(/^driftless_sfu_worker_deaths_total 1$/m);
      expect(metrics).to.match(/^driftless_rooms_rebuilt_total 1$/m);
      expect(metrics).to.match(/^driftless_participants 2$/m);
      expect(metrics).to.match(/^driftless_producers\{kind="video",track="original"\} 1$/m);
    } finally {
      ada.close();
      ben.close();
      await server.close();
    }
  });

  for (const workers of [1, 2]) {
    it(`does not stop the server when it comes while rooms are made (${workers})`, async function () {
      this.timeout(30_000);
      const server = await startTestServer({ sfu: { workers } });
      const clients = Array.from({ length: 8 }, () => new TestClient(server.url));
      try {
        const joins = clients.map((client, index) => client.join(`room-${index}`, "ada"));
        process.kill(Number(server.pool.pids[0]), "SIGKILL");
        for (const reply of await Promise.all(joins)) expect(reply.identity).to.equal("ada");
        // A room that is made in the instant of a death is there within seconds.
        process.kill(Number(server.pool.pids.at(-1)), "SIGKILL");
        const late = new TestClient(server.url);
        clients.push(late);
        await late.join("late", "ben");
        expect((await fetch(`${server.url}/healthz`)).status).to.equal(200);
      } finally {
        for (const client of clients) client.close();
        await server.close();
      }
    });
  }

  it("ends a worker that hangs, and its rooms go on without it", async function () {
    this.timeout(40_000);
    const server = await startTestServer({}, undefined);
    const ada = new TestClient(server.url);
    try {
      const { participantId } = await ada.join("hung", "ada");
      const [pid] = server.pool.pids;
      process.kill(Number(pid), "SIGSTOP");
      // Waits for the worker, and is answered once there is another.
      const waiting = ada.raw("transport:create", { direction: "send" });
      await eventually("the end of the worker", () => !isAlive(Number(pid)) || undefined, 20_000);
      expect((await waiting).ok).to.equal(false);
      await ada.event("room:rebuilt");
      const again = await ada.join("hung", "ada");
      expect(again.participantId).to.equal(participantId);
      await ada.request("transport:create", { direction: "send" });
    } finally {
      ada.close();
      await server.close();
    }
  });
});
