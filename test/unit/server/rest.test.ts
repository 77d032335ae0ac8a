import { expect } from "chai";
import type { RunningServer } from "../../../server/app/server.ts";
import { TokenAuthority } from "../../../server/security/tokens.ts";
import { SECRET, startTestServer, TestClient } from "./support.ts";

interface Answer {
  status: number;
  // Bodies are checked by the tests themselves.
  body: Record<string, unknown> & { error?: { code: string; message: string } };
}

async function call(
  url: string,
  method = "GET",
  options: { body?: unknown; token?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const { body, token, headers } = options;
  const response = await fetch(url, {
    method,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text === "" ? {} : JSON.parse(text) };
}

describe("REST in open mode", () => {
  let server: RunningServer;
  const clients: TestClient[] = [];
  before(async () => {
    server = await startTestServer({ rooms: { emptySeconds: 0 } });
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });
  after(() => server.close());

  async function member(roomId: string, identity: string) {
    const client = new TestClient(server.url);
    clients.push(client);
    const { participantId } = await client.join(roomId, identity);
    return { client, participantId };
  }

  it("tells probes how it is and Prometheus what it counts", async () => {
    expect((await call(`${server.url}/healthz`)).body).to.deep.equal({ status: "ok" });
    expect((await call(`${server.url}/readyz`)).body).to.have.property("ready", true);
    await member("counted", "ada");
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).to.match(/^driftless_participants 1$/m);
    expect(metrics).to.match(/^driftless_joins_total\{result="ok"\} 1$/m);
    expect(metrics).not.to.include("counted");
  });

  it("makes, lists and ends rooms", async () => {
    const made = await call(`${server.url}/api/rooms`, "POST", { body: { id: "lounge" } });
    expect(made.status).to.equal(201);
    expect(made.body).to.include({ roomId: "lounge", participants: 0 });
    expect(
      (await call(`${server.url}/api/rooms`, "POST", { body: { id: "lounge" } })).status,
    ).to.equal(200);
    expect((await call(`${server.url}/api/rooms`, "POST", { body: {} })).body.roomId).to.match(
      /^[0-9a-f-]{36}$/,
    );
    expect((await call(`${server.url}/api/rooms/lounge`)).body.roomId).to.equal("lounge");
    const { client } = await member("lounge", "ada");
    expect((await call(`${server.url}/api/rooms/lounge`, "DELETE")).status).to.equal(204);
    const left = await client.event("participant:left");
    expect(left.reason).to.equal("the room was closed");
    expect((await call(`${server.url}/api/rooms/lounge`)).body.error?.code).to.equal(
      "ROOM_NOT_FOUND",
    );
  });

  it("removes a room that became empty, unless it was made by REST", async () => {
    await call(`${server.url}/api/rooms`, "POST", { body: { id: "kept" } });
    for (const roomId of ["kept", "passing"]) {
      const { client } = await member(roomId, "ada");
      await client.request("leave", {});
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(server.rooms.all.map(({ id }) => id))
      .to.include("kept")
      .and.not.include("passing");
  });

  it("lists and removes participants", async () => {
    const { client, participantId } = await member("people", "ada");
    const url = `${server.url}/api/rooms/people/participants`;
    const { participants } = (await call(url)).body as { participants: { identity: string }[] };
    expect(participants.map(({ identity }) => identity)).to.deep.equal(["ada"]);
    expect((await call(`${url}/${participantId}`, "DELETE")).status).to.equal(204);
    expect((await client.event("participant:left")).reason).to.equal("was removed");
    const gone = await call(`${url}/${participantId}`, "DELETE");
    expect(gone.body.error?.code).to.be.oneOf(["PARTICIPANT_NOT_FOUND", "ROOM_NOT_FOUND"]);
  });

  it("checks transforms as signalling does", async () => {
    const { client, participantId } = await member("styles", "ada");
    const url = `${server.url}/api/rooms/styles/participants/${participantId}/transform`;
    expect((await call(url)).body).to.include({ state: "off", participantId });
    const bad = await call(url, "PUT", { body: { mode: "restyle", prompt: "" } });
    expect(bad.status).to.equal(400);
    expect(bad.body.error).to.have.property("message").that.includes("prompt");
    const body = { mode: "restyle", prompt: "ink" };
    expect((await call(url, "PUT", { body })).body.error?.code).to.equal("NO_VIDEO");
    await client.publish("camera");
    const refused = await call(url, "PUT", { body });
    expect(refused.status).to.equal(503);
    expect(refused.body.error?.message).to.include("engine.enabled");
    expect((await call(url, "DELETE")).status).to.equal(204);
  });

  it("answers nonsense with an error in JSON", async () => {
    const rooms = `${server.url}/api/rooms`;
    const cases: [Promise<Answer>, number, string][] = [
      [call(rooms, "POST", { body: "{nonsense" }), 400, "INVALID_REQUEST"],
      [call(rooms, "POST", { body: { id: "a/b" } }), 400, "INVALID_REQUEST"],
      [call(rooms, "POST", { body: { id: "a", more: 1 } }), 400, "INVALID_REQUEST"],
      [call(rooms, "POST", { body: { id: "x".repeat(20_000) } }), 413, "MESSAGE_TOO_LARGE"],
      [call(`${server.url}/api/nothing`), 404, "NOT_FOUND"],
      [call(`${server.url}/api/rooms/none`), 404, "ROOM_NOT_FOUND"],
      [call(`${server.url}/assets/..%2f..%2fpackage.json`), 404, "NOT_FOUND"],
      [call(`${server.url}/api/rooms/%zz`), 400, "INVALID_REQUEST"],
    ];
    for (const [answer, status, code] of cases) {
      const { status: got, body } = await answer;
      expect(body.error?.code).to.equal(code);
      expect(got).to.equal(status);
    }
  });

  it("administers only for this machine, not for what a proxy passed on", async () => {
    const headers = { "x-forwarded-for": "203.0.113.9" };
    const answer = await call(`${server.url}/api/rooms`, "POST", { body: { id: "far" }, headers });
    expect(answer.body.error?.code).to.equal("FORBIDDEN");
  });

  it("does nothing for pages of other origins", async () => {
    const before = server.rooms.all.length;
    const headers = { origin: "https://evil.example", "content-type": "text/plain" };
    const answer = await call(`${server.url}/api/rooms`, "POST", { body: "x", headers });
    expect(answer.body.error?.code).to.equal("FORBIDDEN");
    expect(server.rooms.all).to.have.length(before);
  });

  it("sends headers that keep the page to itself", async () => {
    const { headers } = await fetch(`${server.url}/healthz`);
    expect(headers.get("content-security-policy")).to.include("default-src 'self'");
    expect(headers.get("x-content-type-options")).to.equal("nosniff");
    expect(headers.get("x-powered-by")).to.equal(null);
  });
});

describe("REST with tokens", () => {
  let server: RunningServer;
  let admin: string;
  const authority = new TokenAuthority(SECRET);
  const grants = { publish: true, view: true, transform: true, admin: false };

  before(async () => {
    server = await startTestServer({ auth: { mode: "token", secret: SECRET } });
    admin = await authority.sign({
      room: "*",
      identity: "operator",
      grants: { ...grants, admin: true },
      ttlSeconds: 60,
    });
  });
  after(() => server.close());

  it("needs a token, and the admin grant to change rooms", async () => {
    const rooms = `${server.url}/api/rooms`;
    expect((await call(rooms)).body.error?.code).to.equal("TOKEN_MISSING");
    const user = await authority.sign({ room: "den", identity: "ada", grants, ttlSeconds: 60 });
    const refused = await call(rooms, "POST", { body: { id: "den" }, token: user });
    expect(refused.status).to.equal(403);
    const made = await call(rooms, "POST", { body: { id: "den" }, token: admin });
    expect(made.status).to.equal(201);
    expect((await call(`${rooms}/den`, "GET", { token: user })).status).to.equal(200);
    await call(rooms, "POST", { body: { id: "other" }, token: admin });
    const other = await call(`${rooms}/other`, "GET", { token: user });
    expect(other.body.error?.code).to.equal("TOKEN_WRONG_ROOM");
  });

  it("makes tokens that let people in", async () => {
    const body = { room: "den", identity: "ben" };
    const made = await call(`${server.url}/api/tokens`, "POST", { body, token: admin });
    expect(made.status).to.equal(201);
    const client = new TestClient(server.url, String(made.body.token));
    const reply = await client.request("join", { roomId: "den", name: "Ben" });
    expect(reply.identity).to.equal("ben");
    expect(reply.grants.admin).to.equal(false);
    client.close();
    const user = String(made.body.token);
    const refused = await call(`${server.url}/api/tokens`, "POST", { body, token: user });
    expect(refused.body.error?.code).to.equal("FORBIDDEN");
  });
});

describe("limits", () => {
  it("slows down who asks too often, but never probes", async () => {
    const server = await startTestServer({ limits: { httpRequestsPerMinute: 5 } });
    try {
      const statuses: number[] = [];
      for (let i = 0; i < 7; i++) statuses.push((await call(`${server.url}/api/presets`)).status);
      expect(statuses).to.deep.equal([200, 200, 200, 200, 200, 429, 429]);
      expect((await call(`${server.url}/healthz`)).status).to.equal(200);
    } finally {
      await server.close();
    }
  });

  it("refuses unknown rooms where rooms are not made by joining", async () => {
    const server = await startTestServer({ rooms: { autoCreate: false }, limits: { maxRooms: 1 } });
    const client = new TestClient(server.url);
    try {
      expect(await client.join("unknown", "ada").catch(String)).to.include("ROOM_NOT_FOUND");
      server.rooms.create("known", true);
      await client.join("known", "ada");
      const second = await call(`${server.url}/api/rooms`, "POST", { body: { id: "second" } });
      expect(second.body.error?.code).to.equal("TOO_MANY_ROOMS");
    } finally {
      client.close();
      await server.close();
    }
  });
});
