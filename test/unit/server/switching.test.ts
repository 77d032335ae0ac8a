/** What viewers get while a transform comes and goes; the engine is played by the test. */
import { expect } from "chai";
import type { types as ms } from "mediasoup";
import type { RunningServer } from "../../../server/app/server.ts";
import type { ClientMessage, JoinReply } from "../../../server/edges/socket/protocol.ts";
import { EgressGate } from "../../../server/media/egress-gate.ts";
import { ScriptedEngine } from "./scripted-engine.ts";
import { eventually, startTestServer, TestClient } from "./support.ts";

describe("switching between original and generated video", () => {
  let engine: ScriptedEngine;
  let server: RunningServer;
  const clients: TestClient[] = [];

  beforeEach(async () => {
    engine = new ScriptedEngine();
    server = await startTestServer({}, engine.create);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await server.close();
  });

  /** The session that the engine has now. */
  function session() {
    const { session } = engine;
    if (session === undefined) throw new Error("Expected a session in the engine.");
    return session;
  }

  async function member(roomId: string, identity: string, hideOriginal = false) {
    const client = new TestClient(server.url);
    clients.push(client);
    const reply: JoinReply = await client.join(roomId, identity, { hideOriginal });
    return { client, id: reply.participantId, capabilities: reply.routerRtpCapabilities };
  }

  /** The consumers that a viewer has now, as "track kind flowing". */
  function view(client: TestClient, participantId: string): string[] {
    const closed = new Set(client.all("consumer:closed").map(({ consumerId }) => consumerId));
    const flowing = new Map<string, boolean>();
    for (const { name, payload } of client.events) {
      const { consumerId, paused } = payload as { consumerId: string; paused?: boolean };
      if (name === "consumer:new") flowing.set(consumerId, !paused);
      if (name === "consumer:paused") flowing.set(consumerId, false);
      if (name === "consumer:resumed") flowing.set(consumerId, true);
    }
    return client
      .all("consumer:new")
      .filter((c) => c.participantId === participantId && !closed.has(c.consumerId))
      .map((c) => `${c.track} ${c.kind}${flowing.get(c.consumerId) ? "" : " (waiting)"}`)
      .sort();
  }

  async function seen(client: TestClient, participantId: string, expected: string[]) {
    const same = () => JSON.stringify(view(client, participantId)) === JSON.stringify(expected);
    await eventually(`${expected} for the viewer`, () => same() || undefined).catch(() => {
      expect(view(client, participantId)).to.deep.equal(expected);
    });
  }

  it("moves viewers by pause and resume, without a new consumer, and back", async () => {
    const ada = await member("switch", "ada");
    const ben = await member("switch", "ben");
    await ada.client.publish("camera");
    await ben.client.subscribe(ben.capabilities);
    await ada.client.subscribe(ada.capabilities);
    await seen(ben.client, ada.id, ["original video"]);

    await ada.client.request("transform:set", { mode: "restyle", prompt: "ink" });
    await seen(ben.client, ada.id, ["generated video (waiting)", "original video"]);
    await seen(ada.client, ada.id, ["generated video (waiting)"]);
    const consumers = ben.client.all("consumer:new");
    const streams = new Set(consumers.map(({ streamId }) => streamId));
    expect([...streams]).to.deep.equal([ada.id]);

    session().goLive();
    await seen(ben.client, ada.id, ["generated video", "original video (waiting)"]);
    await seen(ada.client, ada.id, ["generated video"]);
    const live = await ben.client.event("transform:state", ({ state }) => state === "live");
    expect(live).to.include({ participantId: ada.id, video: "generated" });

    session().stall();
    await seen(ben.client, ada.id, ["generated video (waiting)", "original video"]);
    session().goLive();
    await seen(ben.client, ada.id, ["generated video", "original video (waiting)"]);
    expect(ben.client.all("consumer:new")).to.have.length(2);

    await ada.client.request("transform:set", { mode: "off" });
    await seen(ben.client, ada.id, ["original video"]);
    const updated = await ben.client.event("participant:updated", (p) => p.transform === null);
    expect(updated.participantId).to.equal(ada.id);
  });

  it("shows nobody the room of who asked for another background, until it is switched off", async () => {
    const ada = await member("background", "ada");
    const ben = await member("background", "ben");
    await ada.client.publish("camera");
    await ben.client.subscribe(ben.capabilities);
    await seen(ben.client, ada.id, ["original video"]);

    await ada.client.request("transform:set", { mode: "background", scene: "beach" });
    await seen(ben.client, ada.id, ["generated video (waiting)"]);
    session().goLive();
    await seen(ben.client, ada.id, ["generated video"]);
    session().stall();
    await new Promise((resolve) => setTimeout(resolve, 60));
    // The last frame stays, for as long as it takes.
    await seen(ben.client, ada.id, ["generated video"]);

    // The room may be seen again, but not before the engine's first new picture.
    await ada.client.request("transform:set", { mode: "restyle", prompt: "ink" });
    await seen(ben.client, ada.id, ["generated video"]);
    session().goLive();
    await seen(ben.client, ada.id, ["generated video", "original video (waiting)"]);
    await ada.client.request("transform:set", { mode: "off" });
    await seen(ben.client, ada.id, ["generated video (waiting)", "original video"]);
    await seen(ben.client, ada.id, ["original video"]);
  });

  it("lets no restyled picture of the room pass once a background is wanted", async () => {
    const ada = await member("tighten", "ada");
    const ben = await member("tighten", "ben");
    await ada.client.publish("camera");
    await ben.client.subscribe(ben.capabilities);
    await ada.client.request("transform:set", { mode: "restyle", prompt: "ink" });
    session().goLive();
    await seen(ben.client, ada.id, ["generated video", "original video (waiting)"]);
    await ada.client.request("transform:set", { mode: "background", blur: true });
    await seen(ben.client, ada.id, []);
    const room = server.rooms.get("tighten");
    expect(room.participant(ada.id).info.video).to.equal("none");
    // A late word about the restyle changes nothing.
    session().listener.onApplied(1, Date.now(), true);
    await new Promise((resolve) => setTimeout(resolve, 30));
    await seen(ben.client, ada.id, []);
    session().goLive();
    await seen(ben.client, ada.id, ["generated video"]);
  });

  it("closes every way out in the tick in which the room is hidden", async () => {
    const ada = await member("at-once", "ada");
    const ben = await member("at-once", "ben");
    await ada.client.publish("camera");
    const { id: transportId } = await ben.client.request("transport:create", { direction: "recv" });
    const room = server.rooms.get("at-once");
    const media = await server.media.of(room);
    const transport = media.transport(room.participant(ben.id), transportId);
    const consumers: ms.Consumer[] = [];
    transport.observer.on("newconsumer", (consumer) => consumers.push(consumer));
    await ben.client.request("subscribe", {
      transportId,
      rtpCapabilities: ben.capabilities as ClientMessage<"subscribe">["rtpCapabilities"],
    });
    await ben.client.event("consumer:new");
    expect(consumers.map(({ closed }) => closed)).to.deep.equal([false]);
    room.hideRoom(room.participant(ada.id), true);
    expect(consumers.map(({ closed }) => closed)).to.deep.equal([true]);
    await ada.client.request("privacy:set", { hideRoom: false });
    await eventually("the original", () => consumers.length === 2 || undefined);
  });

  it("follows the last wish, also while the engine has not answered the one before", async () => {
    const ada = await member("late-answer", "ada");
    const ben = await member("late-answer", "ben");
    await ada.client.publish("camera");
    await ben.client.subscribe(ben.capabilities);
    let answer = (): void => undefined;
    engine.gate = new Promise((resolve) => {
      answer = () => resolve();
    });
    const first = ada.client.request("transform:set", { mode: "restyle", prompt: "ink" });
    await eventually("the question to the engine", () => engine.session);
    const second = ada.client.request("transform:set", { mode: "background", blur: true });
    await seen(ben.client, ada.id, []);
    answer();
    const [one, two] = await Promise.all([first, second]);
    expect(two.revision).to.be.above(one.revision);
    await eventually(
      "the newer wish",
      () => session().transform.mode === "background" || undefined,
    );
    const room = server.rooms.get("late-answer");
    expect(room.participant(ada.id).policy.original).to.equal(false);

    // Background, then quickly off: the room is shown again.
    await ada.client.request("transform:set", { mode: "off" });
    await seen(ben.client, ada.id, ["original video"]);
    expect(room.participant(ada.id).policy).to.include({ original: true });
  });

  it("lets an administrator stop a look, but not show a room that is hidden", async () => {
    const ada = await member("admin", "ada");
    await ada.client.publish("camera");
    const url = `${server.url}/api/rooms/admin/participants/${ada.id}/transform`;
    const put = async (body: unknown) => {
      const headers = { "content-type": "application/json" };
      const response = await fetch(url, { method: "PUT", headers, body: JSON.stringify(body) });
      return response.status;
    };
    expect(await put({ mode: "restyle", prompt: "ink" })).to.equal(202);
    expect((await fetch(url, { method: "DELETE" })).status).to.equal(204);
    expect(await put({ mode: "background", blur: true })).to.equal(202);
    // Even one that the administrator hid: only the participant shows it again.
    expect(await put({ mode: "restyle", prompt: "natural photo" })).to.equal(403);
    expect((await fetch(url, { method: "DELETE" })).status).to.equal(403);
    await ada.client.request("transform:set", { mode: "off" });
  });

  it("sends no figures to viewers, and none that are old", async () => {
    const ada = await member("figures", "ada");
    const ben = await member("figures", "ben");
    await ada.client.publish("camera");
    await ada.client.request("transform:set", { mode: "restyle", prompt: "ink" });
    session().goLive();
    await ben.client.event("transform:state", ({ state }) => state === "live");
    const before = ben.client.all("transform:state").length;
    const figures = { p50: 300, p95: 350 };
    const progress = { delayMs: figures, fps: 16, bitrateBps: 500_000 } as never;
    for (let n = 0; n < 5; n++) session().listener.onProgress(progress);
    await ada.client.event("transform:stats", ({ fps }) => fps === 16);
    // The delay is told once, for the voice; after that nothing has changed.
    await ben.client.event("transform:state", ({ delayMs }) => delayMs === 300);
    expect(ben.client.all("transform:state").length).to.equal(before + 1);
    expect(ben.client.all("transform:stats")).to.deep.equal([]);
  });

  it("hides the room of a background that was asked for before the camera came", async () => {
    const ada = await member("early", "ada");
    const ben = await member("early", "ben");
    await ben.client.subscribe(ben.capabilities);
    await ada.client.request("transform:set", { mode: "background", blur: true });
    expect(engine.sessions).to.deep.equal([]);
    await ada.client.publish("camera");
    await seen(ben.client, ada.id, ["generated video (waiting)"]);
    expect(ben.client.all("consumer:new").map(({ track }) => track)).to.deep.equal(["generated"]);
  });

  it("lets nobody have a hidden original, whatever the transform does", async () => {
    const ada = await member("hidden", "ada", true);
    const ben = await member("hidden", "ben");
    await ben.client.subscribe(ben.capabilities);
    const { id: transportId } = await ada.client.request("transport:create", { direction: "send" });
    await ada.client.publishOn(transportId, "camera");
    await ada.client.publishOn(transportId, "microphone");
    await seen(ben.client, ada.id, ["original audio"]);
    const room = server.rooms.get("hidden");
    expect(room.participant(ada.id).info).to.include({ video: "none", hideOriginal: true });

    await ada.client.request("transform:set", { mode: "restyle", prompt: "ink" });
    await seen(ben.client, ada.id, ["generated video (waiting)", "original audio"]);
    session().goLive();
    await seen(ben.client, ada.id, ["generated video", "original audio"]);
    session().stall();
    await new Promise((resolve) => setTimeout(resolve, 60));
    await seen(ben.client, ada.id, ["generated video", "original audio"]);
    await ada.client.request("transform:set", { mode: "off" });
    await seen(ben.client, ada.id, ["original audio"]);

    const late = await member("hidden", "late");
    await late.client.subscribe(late.capabilities);
    await seen(late.client, ada.id, ["original audio"]);
    for (const { client } of [ben, late]) {
      const originals = client.all("consumer:new").filter((c) => c.track === "original");
      expect(originals.map(({ kind }) => kind)).to.not.include("video");
    }
  });

  it("refuses a hidden original also to who asks the media layer directly", async () => {
    const ada = await member("hidden-media", "ada", true);
    await ada.client.publish("camera");
    const room = server.rooms.get("hidden-media");
    const { camera } = room.participant(ada.id);
    if (camera === undefined) throw new Error("Expected a camera.");
    const gate = new EgressGate(room);
    let made = 0;
    const open = await gate.open(camera, async () => {
      made += 1;
      return { closed: false, close: () => undefined };
    });
    expect({ open, made }).to.deep.equal({ open: undefined, made: 0 });

    // Hidden while it was opened: closed before anybody has it.
    room.hideRoom(room.participant(ada.id), false);
    let closed = false;
    const late = await gate.open(camera, async () => {
      room.hideRoom(room.participant(ada.id), true);
      return {
        closed: false,
        close: () => {
          closed = true;
        },
      };
    });
    expect({ late, closed }).to.deep.equal({ late: undefined, closed: true });
  });

  it("lets tracks flow only when the viewer has set them up", async () => {
    const ada = await member("ready", "ada");
    const ben = await member("ready", "ben");
    await ada.client.publish("camera");
    const { id: transportId } = await ben.client.request("transport:create", { direction: "recv" });
    const room = server.rooms.get("ready");
    const transport = (await server.media.of(room)).transport(
      room.participant(ben.id),
      transportId,
    );
    const consumers: ms.Consumer[] = [];
    transport.observer.on("newconsumer", (consumer) => consumers.push(consumer));
    await ben.client.request("subscribe", {
      transportId,
      rtpCapabilities: ben.capabilities as ClientMessage<"subscribe">["rtpCapabilities"],
    });
    const { consumerId, paused } = await ben.client.event("consumer:new");
    expect(paused).to.equal(false);
    expect(consumers.map((consumer) => consumer.paused)).to.deep.equal([true]);
    await ben.client.request("consumer:ready", { consumerId });
    await eventually("the flow", () => consumers[0]?.paused === false || undefined);
  });

  it("closes the consumers of an earlier subscription when the viewer subscribes again", async () => {
    const ada = await member("again", "ada");
    const ben = await member("again", "ben");
    await ada.client.publish("microphone");
    await ben.client.subscribe(ben.capabilities);
    const first = await ben.client.event("consumer:new");
    await ben.client.subscribe(ben.capabilities);
    await ben.client.event("consumer:new", (c) => c.consumerId !== first.consumerId);
    await seen(ben.client, ada.id, ["original audio"]);
    const metrics = await server.metrics.registry.metrics();
    expect(metrics).to.match(/^driftless_consumers\{kind="audio",track="original"\} 1$/m);
  });

  it("repaints a new camera as the one before it", async () => {
    const ada = await member("camera", "ada");
    const { id: transportId } = await ada.client.request("transport:create", { direction: "send" });
    const first = await ada.client.publishOn(transportId, "camera");
    await ada.client.request("transform:set", { mode: "restyle", prompt: "ink" });
    await ada.client.request("producer:close", { producerId: first });
    await eventually("the session to end", () => engine.session === undefined || undefined);
    await ada.client.publishOn(transportId, "camera");
    await eventually("a session of the new camera", () => engine.session);
    expect(session().transform).to.include({ mode: "restyle", prompt: "ink" });
  });

  it("refuses a transform without a camera and settings out of range", async () => {
    const ada = await member("wrong", "ada");
    const code = async (settings: unknown) => {
      const answer = await ada.client.raw("transform:set", settings);
      return answer.ok ? "none" : answer.error.code;
    };
    expect(await code({ mode: "restyle", prompt: "ink" })).to.equal("NO_VIDEO");
    await ada.client.publish("camera");
    const wrong = [
      { prompt: "" },
      { prompt: "   " },
      { prompt: "x".repeat(501) },
      { prompt: "bell\u0007" },
      { prompt: "ink", strength: 2.01 },
      { prompt: "ink", strength: Number.NaN },
      { prompt: "ink", steps: 0 },
      { prompt: "ink", steps: 5 },
      { prompt: "ink", steps: 1.5 },
      { prompt: "ink", seed: -1 },
      { prompt: "ink", seed: 2 ** 32 },
      { prompt: "ink", sneaky: true },
    ];
    for (const settings of wrong) {
      const refused = await code({ mode: "restyle", ...settings });
      expect(refused, JSON.stringify(settings)).to.equal("INVALID_MESSAGE");
    }
    expect(await code({ mode: "restyle", prompt: "x".repeat(500) })).to.equal("none");
  });

  it("leaves no tap behind when its participant leaves", async () => {
    const ada = await member("leaving", "ada");
    await ada.client.publish("camera");
    await ada.client.request("transform:set", { mode: "restyle", prompt: "ink" });
    await ada.client.request("leave", {});
    await eventually("the session to end", () => engine.session === undefined || undefined);
    const metrics = await server.metrics.registry.metrics();
    expect(metrics).to.match(/^driftless_producers\{kind="video",track="generated"\} 0$/m);
  });
});
