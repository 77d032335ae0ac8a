import { request as httpRequest } from "node:http";
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

/** As fetch cannot: with another Host header than the URL's. */
function callAs(
  url: string,
  host: string,
  path: string,
  method = "GET",
  body?: object,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { host, ...(body === undefined ? {} : { "content-type": "application/json" }) };
    const sent = httpRequest(new URL(path, url), { method, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    sent.once("error", reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
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
    expect(answer.body.error?.message).to.include("auth.mode token");
    expect(server.rooms.find("far")).to.equal(undefined);
  });

  it("lets nobody from afar change who is called guest or local", async () => {
    for (const identity of ["guest", "local"]) {
      const { participantId, client } = await member(identity, identity);
      await client.publish("camera");
      const url = `${server.url}/api/rooms/${identity}/participants/${participantId}/transform`;
      const headers = { "x-forwarded-for": "203.0.113.9" };
      for (const method of ["PUT", "DELETE"]) {
        const body = { mode: "restyle", prompt: "ink" };
        const answer = await call(url, method, { body, headers });
        expect(answer.body.error?.code, `${method} of ${identity}`).to.equal("FORBIDDEN");
      }
    }
  });

  it("refuses names that nobody gave this server, so that no page can rebind one", async () => {
    const { port } = new URL(server.url);
    const answer = await callAs(server.url, "evil.example", "/api/rooms", "POST", {
      id: "rebound",
    });
    expect(answer.status).to.equal(421);
    expect(answer.body).to.include("HOST_NOT_ALLOWED").and.include("http.allowedHosts");
    expect(server.rooms.find("rebound")).to.equal(undefined);
    for (const path of ["/", "/metrics", "/socket.io/?EIO=4&transport=polling"]) {
      const { status } = await callAs(server.url, `evil.example:${port}`, path);
      expect(status, path).to.equal(421);
    }
    for (const path of ["/healthz", "/readyz"]) {
      expect((await callAs(server.url, "probe.example", path)).status, path).to.equal(200);
    }
    for (const host of ["localhost", `[::1]:${port}`, "127.0.0.2"]) {
      expect((await callAs(server.url, host, "/api/presets")).status, host).to.equal(200);
    }
  });

  it("keeps a room that an administrator makes again", async () => {
    const { client } = await member("again", "ada");
    const made = await call(`${server.url}/api/rooms`, "POST", { body: { id: "again" } });
    expect(made.status).to.equal(200);
    await client.request("leave", {});
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(server.rooms.find("again")).not.to.equal(undefined);
  });

  it("does nothing for pages of other origins", async () => {
    const before = server.rooms.all.length;
    const headers = { origin: "https://evil.example", "content-type": "text/plain" };
    const answer = await call(`${server.url}/api/rooms`, "POST", { body: "x", headers });
    expect(answer.body.error?.code).to.equal("ORIGIN_NOT_ALLOWED");
    expect(answer.status).to.equal(403);
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

  it("makes no token that can more or lives longer than the caller's", async () => {
    const tokens = `${server.url}/api/tokens`;
    const short = await authority.sign({
      ...{ room: "den", identity: "host", ttlSeconds: 20 },
      grants: { publish: false, view: true, transform: false, admin: true },
    });
    const ask = (more: object) =>
      call(tokens, "POST", { body: { room: "den", identity: "cy", ...more }, token: short });
    const made = await ask({ ttlSeconds: 31_536 });
    expect(made.status).to.equal(201);
    const claims = await authority.verify(String(made.body.token));
    const own = await authority.verify(short);
    expect(claims.expiresAtMs).to.be.at.most(own.expiresAtMs);
    expect(made.body.expiresInSeconds).to.be.within(15, 20);
    expect(made.body.jti).to.equal(claims.jti);
    expect(claims.grants).to.deep.equal({
      ...{ publish: false, view: true, transform: false, admin: false },
    });
    const more = await ask({ grants: { publish: true } });
    expect(more.body.error?.code).to.equal("FORBIDDEN");
    expect(more.body.error?.message).to.include("publish");
    const nothing = await ask({ grants: { view: false } });
    expect(nothing.body.error?.code).to.equal("FORBIDDEN");
    const long = await ask({ ttlSeconds: 31_536_000 });
    expect(long.status).to.equal(400);
    expect(long.body.error?.message).to.include("auth.maxTokenTtlSeconds");
  });

  it("takes tokens back, for those who administer the room", async () => {
    const revoke = (body: object, token: string) =>
      call(`${server.url}/api/tokens/revoke`, "POST", { body, token });
    const sign = (room: string, identity: string, more: { admin?: boolean; jti?: string } = {}) => {
      const { admin: isAdmin = false, ...rest } = more;
      const all = { ...grants, admin: isAdmin };
      return authority.sign({ room, identity, grants: all, ttlSeconds: 60, ...rest });
    };
    await call(`${server.url}/api/rooms`, "POST", { body: { id: "den" }, token: admin });
    const [dora, host] = [await sign("den", "dora"), await sign("den", "host", { admin: true })];
    const look = async (token: string) =>
      (await call(`${server.url}/api/rooms/den`, "GET", { token })).body.error?.code ?? "ok";
    const target = { identity: "dora", room: "den" };
    expect((await revoke(target, dora)).body.error?.code).to.equal("FORBIDDEN");
    const far = { identity: "dora", room: "attic" };
    expect((await revoke(far, host)).body.error?.code).to.equal("TOKEN_WRONG_ROOM");
    expect(await look(dora)).to.equal("ok");
    expect((await revoke(target, host)).status).to.equal(204);
    expect(await look(dora)).to.equal("TOKEN_REVOKED");
    const client = new TestClient(server.url, dora);
    const refused = await new Promise<Error & { data?: { code: string } }>((resolve) =>
      client.socket.once("connect_error", resolve),
    );
    client.close();
    expect(refused.data?.code).to.equal("TOKEN_REVOKED");

    const eve = await sign("den", "eve", { jti: "eve-1" });
    expect((await revoke({ jti: "eve-1" }, host)).body.error?.code).to.equal("TOKEN_WRONG_ROOM");
    expect((await revoke({ jti: "eve-1", room: "den" }, host)).status).to.equal(204);
    expect(await look(eve)).to.equal("TOKEN_REVOKED");
    expect((await revoke({ jti: "eve-2" }, admin)).status).to.equal(204);
    for (const wrong of [{}, { identity: "eve" }, { jti: "a", identity: "eve", room: "den" }]) {
      expect((await revoke(wrong, admin)).status).to.equal(400);
    }
  });
});

describe("metrics", () => {
  const TOKEN = "a-token-of-Prometheus";
  const FAR = { "x-forwarded-for": "203.0.113.9" };

  async function withServer(
    metrics: { token?: string; public?: boolean },
    test: (url: string) => Promise<void>,
    limits = {},
  ): Promise<void> {
    const server = await startTestServer({ metrics, limits });
    try {
      await test(`${server.url}/metrics`);
    } finally {
      await server.close();
    }
  }
  const status = async (url: string, headers: Record<string, string> = {}) =>
    (await fetch(url, { headers })).status;

  it("are for this machine, or for who has the token", async () => {
    await withServer({}, async (url) => {
      expect(await status(url)).to.equal(200);
      const refused = await call(url, "GET", { headers: FAR });
      expect(refused.status).to.equal(403);
      expect(refused.body.error?.message).to.include("metrics.token");
    });
    await withServer({ token: TOKEN }, async (url) => {
      expect(await status(url)).to.equal(200);
      expect(await status(url, FAR)).to.equal(401);
      expect(await status(url, { ...FAR, authorization: "Bearer wrong" })).to.equal(401);
      expect(await status(url, { ...FAR, authorization: `Bearer ${TOKEN}` })).to.equal(200);
    });
    await withServer({ public: true }, async (url) => {
      expect(await status(url, FAR)).to.equal(200);
    });
  });

  it("count as requests", async () => {
    await withServer(
      {},
      async (url) => {
        const statuses = [await status(url), await status(url), await status(url)];
        expect(statuses).to.deep.equal([200, 200, 429]);
        expect(await status(url.replace("metrics", "healthz"))).to.equal(200);
      },
      { httpRequestsPerMinute: 2 },
    );
  });
});

describe("pages of other sites that may connect", () => {
  const ORIGIN = "https://app.example";
  let server: RunningServer;
  before(async () => {
    server = await startTestServer({
      http: { allowedOrigins: [ORIGIN] },
      auth: { mode: "token", secret: SECRET },
    });
  });
  after(() => server.close());

  it("may read answers, also refusals", async () => {
    const answer = await fetch(`${server.url}/api/presets`, { headers: { origin: ORIGIN } });
    expect(answer.status).to.equal(200);
    expect(answer.headers.get("access-control-allow-origin")).to.equal(ORIGIN);
    expect(answer.headers.get("access-control-allow-credentials")).to.equal(null);
    expect(answer.headers.get("vary")).to.match(/\borigin\b/i);
    const refused = await fetch(`${server.url}/api/rooms`, { headers: { origin: ORIGIN } });
    expect(refused.status).to.equal(401);
    expect(refused.headers.get("access-control-allow-origin")).to.equal(ORIGIN);
  });

  it("get their preflights answered", async () => {
    const answer = await fetch(`${server.url}/api/rooms/den/participants/p/transform`, {
      method: "OPTIONS",
      headers: {
        origin: ORIGIN,
        "access-control-request-method": "PUT",
        "access-control-request-headers": "authorization,content-type",
      },
    });
    expect(answer.status).to.equal(204);
    expect(answer.headers.get("access-control-allow-origin")).to.equal(ORIGIN);
    expect(answer.headers.get("access-control-allow-methods")).to.include("PUT");
    expect(answer.headers.get("access-control-allow-headers")).to.include("authorization");
    expect(Number(answer.headers.get("access-control-max-age"))).to.be.above(0);
  });

  it("are told from all others", async () => {
    for (const origin of ["https://evil.example", "null", "http://app.example"]) {
      for (const method of ["GET", "OPTIONS"]) {
        const answer = await fetch(`${server.url}/api/presets`, {
          method,
          headers: { origin, "access-control-request-method": "GET" },
        });
        expect(answer.status, `${method} ${origin}`).to.equal(403);
        expect(answer.headers.get("access-control-allow-origin")).to.equal(null);
        expect(answer.headers.get("vary")).to.match(/\borigin\b/i);
      }
    }
    const own = await fetch(`${server.url}/api/presets`, { headers: { origin: server.url } });
    expect(own.status).to.equal(200);
    expect(own.headers.get("access-control-allow-origin")).to.equal(null);
  });

  it("may poll for signalling", async () => {
    const url = `${server.url}/socket.io/?EIO=4&transport=polling`;
    const answer = await fetch(url, { headers: { origin: ORIGIN } });
    expect(answer.status).to.equal(200);
    expect(answer.headers.get("access-control-allow-origin")).to.equal(ORIGIN);
    await answer.body?.cancel();
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
