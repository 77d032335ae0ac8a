import { expect } from "chai";
import { iceServersFor, turnCredential } from "../../../server/security/turn.ts";
import { startTestServer, TestClient } from "./support.ts";

describe("TURN credentials", () => {
  // printf %s USERNAME | openssl dgst -sha1 -hmac SECRET -binary | base64
  const vectors: [secret: string, identity: string, expiresAtMs: number, string, string][] = [
    ["north", "", 1433895918506, "1433895918:", "RUWjSWgLr7mh1KNVsZi4Q0FgqMc="],
    ["a secret of coturn", "ada", 1700000000000, "1700000000:ada", "4i1Iob7Re1e4VjaFRaKmZUWVaHc="],
    [
      "a secret of coturn",
      "ben@example.org",
      1700003600500,
      "1700003600:ben@example.org",
      "M+QN4JawaJGm/5/FpFNAWkBLuiI=",
    ],
    [
      "0123456789abcdef0123456789abcdef",
      "guest-4f",
      4102444800000,
      "4102444800:guest-4f",
      "jSxCNULbfii1Qw0uwgUVVxavmTU=",
    ],
  ];

  it("are those that a server with the same secret expects", () => {
    for (const [secret, identity, expiresAtMs, username, credential] of vectors) {
      expect(turnCredential(secret, identity, expiresAtMs)).to.deep.equal({ username, credential });
    }
  });

  it("are made for each participant and end; static servers are told as they are", () => {
    const stun = { urls: "stun:turn.example.org:3478" };
    const turn = {
      urls: ["turn:turn.example.org:3478"],
      secret: "north north north",
      ttlSeconds: 600,
    };
    expect(iceServersFor({ iceServers: [stun] }, "ada", 0)).to.deep.equal([stun]);
    const [first, ada] = iceServersFor({ iceServers: [stun], turn }, "ada", 1_700_000_000_999);
    expect(first).to.deep.equal(stun);
    expect(ada).to.include({ urls: turn.urls, username: "1700000600:ada" });
    const [, ben] = iceServersFor({ iceServers: [stun], turn }, "ben", 1_700_000_000_999);
    expect(ben?.credential).to.be.a("string").and.not.equal(ada?.credential);
    expect(JSON.stringify([ada, ben])).not.to.include(turn.secret);
  });

  it("come with the answer to a join", async () => {
    const turn = { urls: "turn:127.0.0.1:3478", secret: "north north north", ttlSeconds: 600 };
    const server = await startTestServer({ sfu: { turn } });
    const client = new TestClient(server.url);
    try {
      const beforeMs = Date.now();
      const [told] = (await client.join("relayed", "ada")).iceServers;
      const endSeconds = Number(told?.username?.split(":")[0]);
      expect(endSeconds).to.be.within(
        Math.floor(beforeMs / 1000) + 600,
        Math.floor(Date.now() / 1000) + 600,
      );
      const { credential } = turnCredential(turn.secret, "ada", endSeconds * 1000);
      expect(told).to.deep.equal({ urls: turn.urls, username: `${endSeconds}:ada`, credential });
    } finally {
      client.close();
      await server.close();
    }
  });
});
