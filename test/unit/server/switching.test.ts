/** What viewers get while a transform comes and goes; the engine is played by the test. */
import { expect } from "chai";
import type { types as ms } from "mediasoup";
import type { RunningServer } from "../../../server/app/server.ts";
import type { TransformSettings } from "../../../server/domain/settings.ts";
import type { TransformService } from "../../../server/domain/transform-service.ts";
import type { ClientMessage, JoinReply } from "../../../server/edges/socket/protocol.ts";
import type { TransformTap } from "../../../server/media/transform-tap.ts";
import { SafeEmitter } from "../../../server/telemetry/events.ts";
import { createMetrics } from "../../../server/telemetry/metrics.ts";
import type {
  TransformEvents,
  TransformStatus,
  TransformTarget,
} from "../../../server/transform/types.ts";
import { eventually, silentLogger, startTestServer, TestClient } from "./support.ts";

/** Opens real taps and says what the test wants it to say. */
class ScriptedTransforms extends SafeEmitter<TransformEvents> implements TransformService {
  readonly taps = new Map<string, TransformTap>();
  readonly targets = new Map<string, TransformTarget>();

  constructor() {
    super(silentLogger, createMetrics());
  }

  async set(target: TransformTarget, settings: TransformSettings): Promise<{ revision: number }> {
    if (settings.mode === "off") throw new Error("Rooms stop transforms with stop().");
    this.targets.set(target.id, target);
    if (!this.taps.has(target.id)) {
      const { videoProducerId } = target;
      const request = { videoProducerId, engineIp: "127.0.0.1", outputSsrc: 4242 };
      const tap = await target.createTap(request);
      tap.on("closed", () => this.taps.delete(target.id));
      this.taps.set(target.id, tap);
    }
    this.emit("state", this.#status(target, "starting"));
    return { revision: 1 };
  }

  stop(targetId: string): void {
    const target = this.targets.get(targetId);
    if (target === undefined) return;
    this.targets.delete(targetId);
    this.emit("inactive", { ...this.#names(target), reason: "switched off", ended: true });
    this.taps.get(targetId)?.close();
    this.emit("state", this.#status(target, "stopped"));
  }

  status(): undefined {
    return undefined;
  }

  activate(targetId: string): void {
    const target = this.#target(targetId);
    const producerId = this.taps.get(targetId)?.output.producerId ?? "";
    this.emit("active", { ...this.#names(target), producerId });
    this.emit("state", this.#status(target, "live"));
  }

  stall(targetId: string): void {
    const target = this.#target(targetId);
    this.emit("inactive", { ...this.#names(target), reason: "the engine died", ended: false });
  }

  #target(targetId: string): TransformTarget {
    const target = this.targets.get(targetId);
    if (target === undefined) throw new Error(`Expected a transform of ${targetId}.`);
    return target;
  }

  #names({ id: targetId, roomId }: TransformTarget) {
    return { targetId, roomId };
  }

  #status(target: TransformTarget, state: TransformStatus["state"]): TransformStatus {
    return {
      ...this.#names(target),
      state,
      reason: "",
      level: "full",
      settings: { mode: "restyle", prompt: "ink", strength: 1, steps: 1, seed: 0 },
      revision: 1,
      appliedRevision: 0,
      producerId: null,
      video: "none",
      delayMs: null,
      delayP95Ms: null,
      fps: 0,
      bitrateBps: 0,
    };
  }
}

describe("switching between original and generated video", () => {
  const transforms = new ScriptedTransforms();
  let server: RunningServer;
  const clients: TestClient[] = [];

  before(async () => {
    server = await startTestServer({}, () => ({
      transforms,
      ready: true,
      start: async () => undefined,
      close: async () => undefined,
    }));
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });
  after(() => server.close());

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

    transforms.activate(ada.id);
    await seen(ben.client, ada.id, ["generated video", "original video (waiting)"]);
    await seen(ada.client, ada.id, ["generated video"]);
    const live = await ben.client.event("transform:state", ({ state }) => state === "live");
    expect(live).to.include({ participantId: ada.id, video: "generated" });

    transforms.stall(ada.id);
    await seen(ben.client, ada.id, ["generated video (waiting)", "original video"]);
    transforms.activate(ada.id);
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
    transforms.activate(ada.id);
    await seen(ben.client, ada.id, ["generated video"]);
    expect(transforms.targets.get(ada.id)?.allowOriginalFallback).to.equal(false);
    transforms.stall(ada.id);
    await seen(ben.client, ada.id, ["generated video (waiting)"]);

    await ada.client.request("transform:set", { mode: "restyle", prompt: "ink" });
    await seen(ben.client, ada.id, ["generated video (waiting)", "original video"]);
    await ada.client.request("transform:set", { mode: "background", blur: true });
    await ada.client.request("transform:set", { mode: "off" });
    await seen(ben.client, ada.id, ["original video"]);
  });

  it("hides the room of a background that was asked for before the camera came", async () => {
    const ada = await member("early", "ada");
    const ben = await member("early", "ben");
    await ben.client.subscribe(ben.capabilities);
    const early = await ada.client.request("transform:set", { mode: "background", blur: true });
    expect(early).to.deep.equal({ revision: 0 });
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
    expect(transforms.targets.get(ada.id)?.allowOriginalFallback).to.equal(false);
    await seen(ben.client, ada.id, ["generated video (waiting)", "original audio"]);
    transforms.activate(ada.id);
    await seen(ben.client, ada.id, ["generated video", "original audio"]);
    transforms.stall(ada.id);
    await seen(ben.client, ada.id, ["generated video (waiting)", "original audio"]);
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
    const camera = room.participant(ada.id).camera;
    if (camera === undefined) throw new Error("Expected a camera.");
    const transport = await room.media.createTransport("recv");
    const refused = await room.media
      .consume(transport, camera, room.media.rtpCapabilities)
      .catch(String);
    expect(refused).to.include("does not show the original");
  });

  it("lets tracks flow only when the viewer has set them up", async () => {
    const ada = await member("ready", "ada");
    const ben = await member("ready", "ben");
    await ada.client.publish("camera");
    const { id: transportId } = await ben.client.request("transport:create", { direction: "recv" });
    const transport = server.rooms.get("ready").participant(ben.id).transport(transportId);
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
    expect(consumers.map((consumer) => consumer.paused)).to.deep.equal([false]);
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
    await eventually("the tap to end", () => !transforms.taps.has(ada.id) || undefined);
    const second = await ada.client.publishOn(transportId, "camera");
    await eventually("a tap of the new camera", () => transforms.taps.has(ada.id) || undefined);
    expect(transforms.targets.get(ada.id)?.videoProducerId).to.equal(second);
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
    expect(transforms.taps.has(ada.id)).to.equal(false);
    expect(transforms.targets.has(ada.id)).to.equal(false);
  });
});
