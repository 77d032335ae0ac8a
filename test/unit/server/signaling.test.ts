import { expect } from "chai";
import type { RunningServer } from "../../../server/app/server.ts";
import type { JoinReply } from "../../../server/edges/socket/protocol.ts";
import { ABS_CAPTURE_TIME } from "../../../server/media/codecs.ts";
import { TokenAuthority } from "../../../server/security/tokens.ts";
import { eventually, SECRET, startTestServer, TestClient } from "./support.ts";

describe("signalling", () => {
  let server: RunningServer;
  const clients: TestClient[] = [];

  before(async () => {
    server = await startTestServer({
      limits: { maxParticipantsPerRoom: 3, maxMessageBytes: 8192 },
    });
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });
  after(() => server.close());

  function connect(): TestClient {
    const client = new TestClient(server.url);
    clients.push(client);
    return client;
  }

  async function codeOf(client: TestClient, name: string, ...args: unknown[]): Promise<string> {
    const answer = await client.raw(name, ...args);
    return answer.ok ? "none" : answer.error.code;
  }

  it("joins, tells the others, and says who is there", async () => {
    const [ada, ben] = [connect(), connect()];
    const first = await ada.join("talk", "ada");
    expect(first.participants).to.deep.equal([]);
    expect(first.routerRtpCapabilities.codecs?.map((codec) => codec.mimeType)).to.include.members([
      "audio/opus",
      "video/VP8",
      "video/H264",
      "video/rtx",
    ]);
    const extensions = first.routerRtpCapabilities.headerExtensions?.map(({ uri }) => uri);
    expect(extensions).to.include(ABS_CAPTURE_TIME).and.not.include("urn:3gpp:video-orientation");
    expect(first.presets).to.have.length.above(3);
    expect(first.openMode).to.equal(true);

    const second = await ben.join("talk", "ben");
    expect(second.participants.map(({ identity }) => identity)).to.deep.equal(["ada"]);
    expect(await ada.event("participant:joined")).to.include({ identity: "ben", video: "none" });

    await ben.request("leave", {});
    const left = await ada.event("participant:left");
    expect(left).to.deep.equal({ participantId: second.participantId, reason: "left" });
    await ben.join("talk", "ben");
  });

  it("refuses a second join with the same identity and leaves the first alone", async () => {
    const [ada, thief] = [connect(), connect()];
    await ada.join("identity", "ada");
    expect(
      await codeOf(thief, "join", { roomId: "identity", identity: "ada", name: "x" }),
    ).to.equal("IDENTITY_IN_USE");
    await thief.join("elsewhere", "ada");
    expect((await ada.request("transform:get", {})).state).to.equal("off");
  });

  it("gives a guest an identity", async () => {
    const reply = await connect().request("join", { roomId: "guests", name: "somebody" });
    expect(reply.identity).to.match(/^guest-[0-9a-f]{8}$/);
  });

  it("lets people try a look alone, in a room that nobody can name or see", async () => {
    const [ada, ben] = [connect(), connect()];
    await ben.join("stage", "ben");
    const reply = await ada.request("join", {
      roomId: "stage",
      identity: "ben",
      name: "preview",
      preview: true,
    });
    expect(reply.roomId).to.equal("stage");
    expect(reply.participants).to.deep.equal([]);
    expect(reply.presets).to.have.length.above(3);
    await ada.publish("camera");
    const { rooms } = await (await fetch(`${server.url}/api/rooms`)).json();
    expect(rooms.map((room: { roomId: string }) => room.roomId)).to.include("stage");
    expect(JSON.stringify(rooms)).not.to.contain("preview");
    // Ben hears nothing of it, and Ada has not taken his name.
    expect(ben.events).to.deep.equal([]);
    expect(await codeOf(connect(), "join", { roomId: "preview:x", name: "x" })).to.equal(
      "INVALID_MESSAGE",
    );
    await ada.request("leave", {});
    await ada.join("stage", "ada");
    expect(await ben.event("participant:joined")).to.include({ identity: "ada" });
    await eventually(
      "the end of the private room",
      () => server.rooms.all.every((room) => !room.private) || undefined,
    );
  });

  it("refuses whom the room cannot hold", async () => {
    for (const identity of ["a", "b", "c"]) await connect().join("full", identity);
    const answer = await connect().raw("join", { roomId: "full", identity: "d", name: "d" });
    expect(answer).to.have.nested.property("error.code", "ROOM_FULL");
  });

  it("answers malformed messages with INVALID_MESSAGE and goes on working", async () => {
    const client = connect();
    const bad: unknown[][] = [
      ["join", { roomId: "a b", identity: "x", name: "x" }],
      ["join", { roomId: "ok", name: "x", unknownKey: 1 }],
      ["join", { roomId: "ok", name: "line\u0000break" }],
      ["join", { roomId: "ok", identity: "../../etc", name: "x" }],
      ["join", null],
      ["join", "text"],
      ["join", 1, 2],
      ["join"],
      ["no-such-message", {}],
      ["__proto__", {}],
      ["transport:create", { direction: "sideways" }],
      ["produce", { transportId: "x", kind: "video", source: "camera", rtpParameters: {} }],
    ];
    for (const [name, ...args] of bad) {
      expect(await codeOf(client, String(name), ...args), JSON.stringify(args)).to.equal(
        "INVALID_MESSAGE",
      );
    }
    const answer = await client.raw("join", { roomId: "ok", name: "x", unknownKey: 1 });
    expect(answer).to.have.nested.property("error.message").that.includes("unknownKey");
    await client.join("malformed", "x");
  });

  it("ignores messages without an acknowledgement", async () => {
    const client = connect();
    client.socket.emit("join", { roomId: "silent", identity: "x", name: "x" });
    await client.join("malformed", "x");
    expect(server.rooms.find("silent")).to.equal(undefined);
  });

  it("refuses a message that is too large, cuts one that is absurd, disturbs nobody", async () => {
    const [big, other] = [connect(), connect()];
    await other.join("sizes", "other");
    const message = { roomId: "sizes", name: "x".repeat(9000) };
    expect(await codeOf(big, "join", message)).to.equal("MESSAGE_TOO_LARGE");
    await big.join("sizes", "big");

    const absurd = connect();
    await absurd.join("sizes", "absurd");
    absurd.socket.io.reconnection(false);
    const gone = new Promise((resolve) => absurd.socket.once("disconnect", resolve));
    absurd.socket.emit("join", { roomId: "sizes", name: "x".repeat(100_000) });
    await gone;
    expect((await other.request("transform:get", {})).state).to.equal("off");
  });

  it("bounds the messages that wait for an answer", async () => {
    const client = connect();
    await client.join("flood", "x");
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => client.raw("transport:create", { direction: "recv" })),
    );
    const refused = answers.filter((answer) => !answer.ok);
    expect(refused).to.have.length.within(20, 60);
    for (const answer of refused) {
      const code = answer.ok ? "none" : answer.error.code;
      expect(code).to.be.oneOf(["TOO_MANY_PENDING", "RATE_LIMITED"]);
    }
  });

  it("needs a room for everything but joining", async () => {
    const client = connect();
    expect(await codeOf(client, "transport:create", { direction: "send" })).to.equal("NOT_JOINED");
    expect(await codeOf(client, "leave", {})).to.equal("NOT_JOINED");
    await client.join("once", "x");
    expect(await codeOf(client, "join", { roomId: "twice", name: "x" })).to.equal("ALREADY_JOINED");
  });

  it("takes camera and microphone once each, and refuses codecs it does not know", async () => {
    const client = connect();
    await client.join("codecs", "x");
    const { id } = await client.request("transport:create", { direction: "send" });
    for (const mimeType of ["video/H265", "video/nonsense"]) {
      const refused = await client.publishOn(id, "camera", mimeType).catch(String);
      expect(refused).to.include("UNSUPPORTED_CODEC");
    }
    await client.publishOn(id, "camera", "video/H264");
    await client.publishOn(id, "microphone");
    expect(await client.publishOn(id, "camera").catch(String)).to.include("ALREADY_PRODUCING");
    const swapped = await client.publishOn(id, "microphone", "video/VP8").catch(String);
    expect(swapped).to.include("Error:");
  });

  it("refuses the transports, tracks and consumers of others", async () => {
    const [ada, eve] = [connect(), connect()];
    const { routerRtpCapabilities } = await ada.join("mine", "ada");
    await eve.join("mine", "eve");
    const { id: transportId } = await ada.request("transport:create", { direction: "send" });
    const producerId = await ada.publishOn(transportId, "microphone");
    await eve.subscribe(routerRtpCapabilities);
    const { consumerId } = await eve.event("consumer:new");

    expect(await eve.publishOn(transportId, "camera").catch(String)).to.include("NOT_FOUND");
    expect(await codeOf(eve, "producer:close", { producerId })).to.equal("NOT_FOUND");
    expect(await codeOf(eve, "transport:restart-ice", { transportId })).to.equal("NOT_FOUND");
    await ada.subscribe(routerRtpCapabilities);
    expect(await codeOf(ada, "consumer:ready", { consumerId })).to.equal("NOT_FOUND");
    await eve.request("consumer:ready", { consumerId });
  });

  it("restarts ICE of one's transport", async () => {
    const client = connect();
    await client.join("ice", "x");
    const { id, iceParameters } = await client.request("transport:create", { direction: "recv" });
    const restarted = await client.request("transport:restart-ice", { transportId: id });
    expect(restarted.iceParameters.usernameFragment).not.to.equal(iceParameters.usernameFragment);
  });

  it("tells everybody when a microphone is muted", async () => {
    const [ada, ben] = [connect(), connect()];
    const { participantId } = await ada.join("mute", "ada");
    await ben.join("mute", "ben");
    const producerId = await ada.publish("microphone");
    await ben.event("participant:updated", (p) => p.participantId === participantId && p.audio);
    await ada.request("producer:pause", { producerId });
    await ben.event("participant:updated", (p) => p.participantId === participantId && !p.audio);
    await ada.request("producer:resume", { producerId });
    expect(server.rooms.get("mute").participant(participantId).info.audio).to.equal(true);
  });

  it("tells a client that has a view-only token what it may not do", async () => {
    const secured = await startTestServer({ auth: { mode: "token", secret: SECRET } });
    try {
      const grants = { publish: false, view: true, transform: false, admin: false };
      const token = await new TokenAuthority(SECRET).sign({
        room: "cinema",
        identity: "viewer",
        grants,
        ttlSeconds: 60,
      });
      const viewer = new TestClient(secured.url, token);
      clients.push(viewer);
      expect(await codeOf(viewer, "join", { roomId: "other", name: "x" })).to.equal(
        "TOKEN_WRONG_ROOM",
      );
      expect(
        await codeOf(viewer, "join", { roomId: "cinema", identity: "boss", name: "x" }),
      ).to.equal("IDENTITY_MISMATCH");
      const reply = await viewer.request("join", { roomId: "cinema", name: "x" });
      expect(reply).to.deep.include({ identity: "viewer", grants, openMode: false });
      expect(await codeOf(viewer, "transport:create", { direction: "send" })).to.equal("FORBIDDEN");
      const settings = { mode: "restyle", prompt: "ink" };
      expect(await codeOf(viewer, "transform:set", settings)).to.equal("FORBIDDEN");

      for (const wrong of [undefined, "forged"]) {
        const stranger = new TestClient(secured.url, wrong);
        clients.push(stranger);
        const refused = await new Promise<Error & { data?: { code: string } }>((resolve) =>
          stranger.socket.once("connect_error", resolve),
        );
        expect(refused.data?.code).to.equal(
          wrong === undefined ? "TOKEN_MISSING" : "TOKEN_INVALID",
        );
      }
    } finally {
      await secured.close();
    }
  });

  it("refuses pages of other origins", async () => {
    const answer = await fetch(`${server.url}/socket.io/?EIO=4&transport=polling`, {
      headers: { origin: "https://evil.example" },
    });
    expect(answer.status).to.equal(403);
  });

  it("keeps the place of a broken connection and gives it to the same identity", async () => {
    const [ada, watcher] = [connect(), connect()];
    const { participantId } = await ada.join("broken", "ada");
    await watcher.join("broken", "watcher");
    ada.socket.io.engine.close();
    await eventually("the server to notice", () =>
      server.rooms.get("broken").participants.find(({ connected }) => !connected),
    );
    const back = connect();
    const reply = await back.join("broken", "ada");
    expect(reply.participantId).not.to.equal(participantId);
    expect((await watcher.event("participant:left")).participantId).to.equal(participantId);
    expect(server.rooms.get("broken").participants).to.have.length(2);
  });

  /** A second connection of the same page takes the place of the first. */
  async function comeBack(roomId: string, resume: string): Promise<[TestClient, JoinReply]> {
    const client = connect();
    return [client, await client.join(roomId, "anybody", { resume })];
  }

  it("gives the place back at once to who has its secret, media and all", async () => {
    const [ada, ben] = [connect(), connect()];
    const { participantId, resume, routerRtpCapabilities } = await ada.join("recover", "ada");
    const { participantId: benId } = await ben.join("recover", "ben");
    const producerId = await ada.publish("camera");
    await ben.publish("microphone");
    await ada.subscribe(routerRtpCapabilities);
    const { consumerId } = await ada.event("consumer:new");
    // The old connection is still there as far as the server knows: nobody waits for its end.
    const [back, reply] = await comeBack("recover", resume);
    expect(reply).to.include({ participantId, identity: "ada", resumed: true, mediaKept: true });
    expect(reply.producers).to.deep.equal([{ source: "camera", producerId, paused: false }]);
    expect(reply.consumers.map((consumer) => consumer.consumerId)).to.deep.equal([consumerId]);
    expect(reply.participants.map((person) => person.participantId)).to.deep.equal([benId]);
    expect(ben.all("participant:left")).to.deep.equal([]);
    await eventually("the end of the old connection", () => ada.socket.disconnected || undefined);
    await back.request("consumer:ready", { consumerId });
    // The end of the old connection does not end the stay.
    expect(server.rooms.get("recover").participant(participantId).connected).to.equal(true);
    await back.request("leave", {});
    const [, anew] = await comeBack("recover", resume);
    expect(anew).to.include({ resumed: false, identity: "anybody" });
  });

  it("takes no resume secret of another room, and none that was made up", async () => {
    const ada = connect();
    const { participantId, resume } = await ada.join("secrets", "ada");
    const [, elsewhere] = await comeBack("elsewhere", resume);
    expect(elsewhere.resumed).to.equal(false);
    const [, forged] = await comeBack("secrets", "made up");
    expect(forged).to.include({ resumed: false, identity: "anybody" });
    expect(forged.participantId).not.to.equal(participantId);
  });

  it("tells who comes back what happened meanwhile, however quiet the room was", async () => {
    const [ada, ben] = [connect(), connect()];
    const { resume } = await ada.join("quiet", "ada");
    await ben.join("quiet", "ben");
    ada.socket.io.engine.close();
    await ben.request("leave", {});
    const [, reply] = await comeBack("quiet", resume);
    expect(reply).to.include({ resumed: true, mediaKept: false });
    expect(reply.participants).to.deep.equal([]);
  });

  it("lets who is in come back when the token has ended, and takes a new one", async () => {
    const secured = await startTestServer({
      auth: { mode: "token", secret: SECRET },
      limits: { reconnectGraceSeconds: 0.05 },
    });
    try {
      let nowMs = Date.now();
      const authority = new TokenAuthority(SECRET, { nowMs: () => nowMs });
      const grants = { publish: true, view: true, transform: true, admin: false };
      const person = { room: "long", identity: "ada", grants };
      const token = await authority.sign({ ...person, ttlSeconds: 2 });
      const ada = new TestClient(secured.url, token);
      clients.push(ada);
      const { resume, participantId, tokenExpiresAtMs } = await ada.request("join", {
        roomId: "long",
        name: "Ada",
      });
      expect(tokenExpiresAtMs).to.be.closeTo(Date.now() + 2000, 1500);
      await new Promise((resolve) => setTimeout(resolve, 2100));
      ada.socket.io.engine.close();
      // Away for longer than the place is kept.
      await eventually(
        "the end of the stay",
        () => secured.rooms.get("long").size === 0 || undefined,
      );
      const back = new TestClient(secured.url, token, resume);
      clients.push(back);
      const reply = await back.request("join", { roomId: "long", name: "Ada", resume });
      expect(reply).to.deep.include({ identity: "ada", grants, resumed: true, mediaKept: false });
      expect(reply.participantId).not.to.equal(participantId);

      nowMs = Date.now();
      const other = await authority.sign({ ...person, identity: "eve", ttlSeconds: 60 });
      expect(await codeOf(back, "token:refresh", { token: other })).to.equal("IDENTITY_MISMATCH");
      const newer = await authority.sign({
        ...person,
        grants: { ...grants, publish: false },
        ttlSeconds: 60,
      });
      const { expiresAtMs } = await back.request("token:refresh", { token: newer });
      expect(expiresAtMs).to.be.closeTo(nowMs + 60_000, 1500);
      expect(await codeOf(back, "transport:create", { direction: "send" })).to.equal("FORBIDDEN");

      const stranger = new TestClient(secured.url, token, "made up");
      clients.push(stranger);
      const refused = await new Promise<Error & { data?: { code: string } }>((resolve) =>
        stranger.socket.once("connect_error", resolve),
      );
      expect(refused.data?.code).to.equal("TOKEN_EXPIRED");
    } finally {
      await secured.close();
    }
  });

  it("takes the answers to a hundred tracks at once, and no more than those", async () => {
    const crowded = await startTestServer();
    try {
      const publishers = Array.from({ length: 49 }, () => new TestClient(crowded.url));
      clients.push(...publishers);
      for (const [index, client] of publishers.entries()) {
        await client.join("burst", `p${index}`);
        const { id } = await client.request("transport:create", { direction: "send" });
        await client.publishOn(id, "camera");
        await client.publishOn(id, "microphone");
      }
      const viewer = new TestClient(crowded.url);
      clients.push(viewer);
      const refused: unknown[] = [];
      let answered = 0;
      viewer.socket.on("consumer:new", async ({ consumerId }: { consumerId: string }) => {
        const answer = await viewer.raw("consumer:ready", { consumerId });
        answered += 1;
        if (!answer.ok) refused.push(answer.error);
      });
      const { routerRtpCapabilities } = await viewer.join("burst", "viewer");
      await viewer.subscribe(routerRtpCapabilities);
      await eventually("98 answers", () => answered === 98 || undefined);
      expect(refused).to.deep.equal([]);
      // What answers nothing is a message like others.
      const answers = await Promise.all(
        Array.from({ length: 100 }, () => viewer.raw("consumer:ready", { consumerId: "none" })),
      );
      const codes = new Set(answers.map((answer) => (answer.ok ? "ok" : answer.error.code)));
      expect([...codes].sort()).to.deep.equal(["NOT_FOUND", "RATE_LIMITED"]);
    } finally {
      await crowded.close();
    }
  }).timeout(30_000);
});
