/** Rooms that need more than one media worker, and what a viewer gets of cameras in layers. */
import { expect } from "chai";
import type { types as ms } from "mediasoup";
import type { RunningServer } from "../../../server/app/server.ts";
import type { ClientMessage } from "../../../server/edges/socket/protocol.ts";
import { eventually, startTestServer, TestClient, trackParameters } from "./support.ts";

describe("rooms over several media workers", function () {
  this.timeout(20_000);
  let server: RunningServer;
  const clients: TestClient[] = [];

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await server.close();
  });

  async function member(roomId: string, identity: string) {
    const client = new TestClient(server.url);
    clients.push(client);
    const reply = await client.join(roomId, identity);
    return { client, id: reply.participantId, capabilities: reply.routerRtpCapabilities };
  }

  /** Somebody with a camera and a voice. */
  async function publisher(roomId: string, identity: string) {
    const joined = await member(roomId, identity);
    const { client } = joined;
    const { id: transportId } = await client.request("transport:create", { direction: "send" });
    await client.publishOn(transportId, "camera");
    return { ...joined, voice: await client.publishOn(transportId, "microphone") };
  }

  /** The mediasoup consumers that a viewer's transport makes. */
  async function watch({ client, id, capabilities }: Awaited<ReturnType<typeof member>>) {
    const { id: transportId } = await client.request("transport:create", { direction: "recv" });
    const [room] = server.rooms.all;
    if (room === undefined) throw new Error("Expected a room.");
    const media = await server.media.of(room);
    const transport = media.transport(room.participant(id), transportId);
    const consumers: ms.Consumer[] = [];
    transport.observer.on("newconsumer", (consumer) => consumers.push(consumer));
    await client.request("subscribe", {
      transportId,
      rtpCapabilities: capabilities as ClientMessage<"subscribe">["rtpCapabilities"],
    });
    return consumers;
  }

  it("gives viewers another worker when the first is full, and brings them the tracks", async () => {
    server = await startTestServer({ sfu: { workers: 2, maxConsumersPerRouter: 10 } });
    const publishers = [];
    for (const identity of ["a", "b", "c", "d", "e"])
      publishers.push(await publisher("wide", identity));
    const viewers = [];
    for (const identity of ["v", "w", "x"]) {
      const viewer = await member("wide", identity);
      const consumers = await watch(viewer);
      await eventually("five pictures and five voices", () => consumers.length === 10 || undefined);
      viewers.push(viewer);
    }
    const media = await server.media.of(server.rooms.get("wide"));
    expect(media.mesh.size).to.equal(2);

    // What ends at home ends elsewhere.
    const last = viewers.at(-1)?.client;
    const gone = (count: number) =>
      eventually(
        `${count} tracks less`,
        () => last?.all("consumer:closed").length === count || undefined,
      );
    const [a, b, c] = publishers;
    await a?.client.request("producer:close", { producerId: a.voice });
    await gone(1);
    const room = server.rooms.get("wide");
    room.hideRoom(room.participant(b?.id ?? ""), true);
    await gone(2);
    await c?.client.request("leave", {});
    await gone(4);
  });

  it("rebuilds a room of several workers when one of them dies", async () => {
    server = await startTestServer({ sfu: { workers: 2, maxConsumersPerRouter: 10 } });
    const ada = await member("both", "ada");
    for (const identity of ["a", "b", "c", "d", "e"]) await publisher("both", identity);
    const first = await watch(ada);
    await eventually("all tracks", () => first.length === 10 || undefined);
    const ben = await member("both", "ben");
    await watch(ben);
    const media = await server.media.of(server.rooms.get("both"));
    expect(media.mesh.size).to.equal(2);
    process.kill(Number(server.pool.pids.at(-1)), "SIGKILL");
    for (const { client } of [ada, ben]) await client.event("room:rebuilt");
    const again = await ben.client.join("both", "ben");
    expect(again).to.include({ participantId: ben.id, mediaKept: false });
    expect(again.participants).to.have.length(6);
  });

  it("sends the layer that fits the tile, and no picture to a tile that nobody sees", async () => {
    server = await startTestServer();
    const ada = await member("tiles", "ada");
    const { id: transportId } = await ada.client.request("transport:create", { direction: "send" });
    const parameters = trackParameters("video/VP8");
    await ada.client.request("produce", {
      transportId,
      kind: "video",
      source: "camera",
      rtpParameters: {
        ...parameters,
        encodings: [1, 2, 3].map((n) => ({ ssrc: 770_000 + n, scalabilityMode: "L1T3" })),
      },
    });
    const ben = await member("tiles", "ben");
    const consumers = await watch(ben);
    const [consumer] = await eventually("a picture", () => (consumers[0] ? consumers : undefined));
    if (consumer === undefined) throw new Error("Expected a consumer.");
    expect(consumer.type).to.equal("simulcast");
    const { consumerId } = await ben.client.event("consumer:new");
    await ben.client.request("consumers:ready", { consumerIds: [consumerId, "gone already"] });
    const layer = () => consumer.preferredLayers?.spatialLayer;
    await eventually(
      "the best layer for who has not said anything",
      () => layer() === 2 || undefined,
    );
    const see = (width: number, visible = true) =>
      ben.client.request("view:set", {
        tiles: [{ participantId: ada.id, visible, width, height: Math.round((width * 9) / 16) }],
      });
    await see(160);
    await eventually("the small one", () => layer() === 0 || undefined);
    await see(360);
    await eventually("the middle one", () => layer() === 1 || undefined);
    await see(1280);
    await eventually("the best one", () => layer() === 2 || undefined);
    await see(360, false);
    await eventually("a pause", () => consumer.paused || undefined);
    await ben.client.event("consumer:paused");
    await see(360);
    await eventually("the flow", () => !consumer.paused || undefined);
    expect(consumers).to.have.length(1);
  });
});
