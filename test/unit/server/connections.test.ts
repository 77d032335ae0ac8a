import { get } from "node:http";
import { expect } from "chai";
import { io, type Socket } from "socket.io-client";
import { type RunningServer, startServer } from "../../../server/app/server.ts";
import { ConnectionLimits } from "../../../server/security/connections.ts";
import { createLogger } from "../../../server/telemetry/logger.ts";
import { eventually, startTestServer, TestClient, testConfig } from "./support.ts";

/** The answer to a WebSocket's handshake: 101 where it is let in. */
function handshake(url: string, headers: Record<string, string> = {}) {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const request = get(`${url}/socket.io/?EIO=4&transport=websocket`, {
      headers: {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        ...headers,
      },
    });
    request.once("error", reject);
    request.once("upgrade", (_response, socket) => {
      socket.destroy();
      resolve({ status: 101, body: "" });
    });
    request.once("response", (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
  });
}

type Refusal = Error & { data?: { code: string; message: string } };

/** How a page's connection from an origin ends: undefined when it is let in. */
async function connectFrom(
  url: string,
  headers: Record<string, string>,
): Promise<Refusal | undefined> {
  const socket: Socket = io(url, {
    ...{ transports: ["websocket"], forceNew: true, reconnection: false },
    extraHeaders: headers,
  });
  try {
    return await new Promise<Refusal | undefined>((resolve) => {
      socket.once("connect", () => resolve(undefined));
      socket.once("connect_error", resolve);
    });
  } finally {
    socket.disconnect();
  }
}

describe("signalling connections behind a reverse proxy", () => {
  const ORIGIN = "https://meet.example.org";
  const PORT = "https://meet.example.org:8443";
  const lines: string[] = [];
  const servers: RunningServer[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close();
    lines.length = 0;
  });

  async function start(http: { publicUrl?: string; trustedProxies?: number }) {
    const logger = createLogger("warn", { write: (line) => lines.push(line) });
    const server = await startServer(await testConfig({ http }), logger, undefined);
    servers.push(server);
    return server;
  }

  it("are told why they are refused, and the log names the setting once", async () => {
    const { url } = await start({});
    for (const origin of [ORIGIN, PORT, "null"]) {
      const refused = await connectFrom(url, { origin });
      expect(refused?.data?.code, origin).to.equal("ORIGIN_NOT_ALLOWED");
      expect(refused?.data?.message).to.include(origin).and.include("http.publicUrl");
    }
    const polling = await fetch(`${url}/socket.io/?EIO=4&transport=polling`, {
      headers: { origin: ORIGIN },
    });
    expect(polling.status).to.equal(403);
    expect(await polling.text()).to.include('"code":"ORIGIN_NOT_ALLOWED"');
    const warnings = lines.filter((line) => line.includes("http.publicUrl"));
    expect(warnings).to.have.length(1);
    expect(warnings[0]).to.include(ORIGIN);
  });

  it("join where http.publicUrl names the page's address", async () => {
    const { url } = await start({ publicUrl: ORIGIN });
    expect(await connectFrom(url, { origin: ORIGIN })).to.equal(undefined);
    const host = { origin: ORIGIN, host: "meet.example.org" };
    expect(await connectFrom(url, host)).to.equal(undefined);
    expect((await connectFrom(url, { origin: PORT }))?.data?.code).to.equal("ORIGIN_NOT_ALLOWED");
  });

  it("join where a trusted proxy tells the host, with its port", async () => {
    const { url } = await start({ trustedProxies: 1 });
    const told: Record<string, string>[] = [
      { origin: ORIGIN, "x-forwarded-host": "meet.example.org" },
      { origin: PORT, "x-forwarded-host": "meet.example.org:8443" },
      { origin: ORIGIN, forwarded: "for=192.0.2.1;host=meet.example.org;proto=https" },
      {
        origin: PORT,
        host: "meet.example.org",
        "x-forwarded-for": "::1",
        "x-forwarded-port": "8443",
      },
    ];
    for (const headers of told) {
      expect(await connectFrom(url, headers), JSON.stringify(headers)).to.equal(undefined);
    }
    const other = { origin: "https://evil.example", "x-forwarded-host": "meet.example.org" };
    expect((await connectFrom(url, other))?.data?.code).to.equal("ORIGIN_NOT_ALLOWED");
  });
});

describe("limits of signalling connections", () => {
  const servers: RunningServer[] = [];
  const clients: TestClient[] = [];
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    for (const server of servers.splice(0)) await server.close();
  });

  it("hold before the handshake, with a reason, for each address", async () => {
    const server = await startTestServer({
      http: { trustedProxies: 1 },
      limits: { connectionsPerMinute: 2 },
    });
    servers.push(server);
    const from = (address: string) => handshake(server.url, { "x-forwarded-for": address });
    const answers = [];
    for (let i = 0; i < 3; i++) answers.push(await from("192.0.2.1"));
    expect(answers.map(({ status }) => status)).to.deep.equal([101, 101, 429]);
    expect(JSON.parse(answers[2]?.body ?? "").error).to.have.property("code", "RATE_LIMITED");
    expect((await from("192.0.2.2")).status).to.equal(101);
    expect((await from("2001:db8::1")).status).to.equal(101);
    expect((await from("2001:db8::2")).status).to.equal(101);
    expect((await from("2001:db8::3")).status).to.equal(429);
    const metrics = await server.metrics.registry.metrics();
    expect(metrics).to.match(/^driftless_signalling_errors_total\{code="RATE_LIMITED"\} 2$/m);
  });

  it("bound those that are open at the same time", async () => {
    const server = await startTestServer({ limits: { maxConnectionsPerAddress: 2 } });
    servers.push(server);
    for (const identity of ["ada", "ben"]) {
      const client = new TestClient(server.url);
      clients.push(client);
      await client.join("full", identity);
    }
    const refused = await handshake(server.url);
    expect(refused.status).to.equal(429);
    expect(refused.body).to.include("TOO_MANY_CONNECTIONS").and.include("maxConnectionsPerAddress");
    const polling = await fetch(`${server.url}/socket.io/?EIO=4&transport=polling`);
    expect(polling.status).to.equal(429);
    clients.shift()?.close();
    await eventually("a free place", () => server.rooms.get("full").participants.length === 1);
    // The connection itself ends a moment after the participant's goodbye.
    let status = 429;
    for (let i = 0; i < 100 && status === 429; i++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      status = (await handshake(server.url)).status;
    }
    expect(status).to.equal(101);
  });

  it("refuse WebSockets to unknown hosts", async () => {
    const server = await startTestServer();
    servers.push(server);
    const refused = await handshake(server.url, { host: "evil.example" });
    expect(refused.status).to.equal(421);
    expect(refused.body).to.include("HOST_NOT_ALLOWED");
  });

  it("forget an address whose connections are gone", async () => {
    const limits = new ConnectionLimits({ connectionsPerMinute: 100, maxConnectionsPerAddress: 1 });
    await limits.admit("a");
    const closed = limits.opened("a");
    const refused = await limits.admit("a").catch((error: Error) => error.message);
    expect(refused).to.include("at most 1");
    await limits.admit("b");
    closed();
    await limits.admit("a");
  });
});
