import type { IncomingMessage } from "node:http";
import { expect } from "chai";
import { SignJWT } from "jose";
import { DriftlessError } from "../../../server/errors.ts";
import { AccessPolicy } from "../../../server/security/access.ts";
import { concerns, MemoryRevocations } from "../../../server/security/revocations.ts";
import { ALL_GRANTS, TokenAuthority } from "../../../server/security/tokens.ts";
import { SECRET } from "./support.ts";

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    expect(error).to.be.instanceOf(DriftlessError);
    return (error as DriftlessError).code;
  }
  return "none";
}

describe("tokens", () => {
  const authority = new TokenAuthority(SECRET);
  const access = new AccessPolicy({ mode: "token", secret: SECRET, tokenTtlSeconds: 60 });
  const claims = { room: "studio", identity: "ada", grants: { ...ALL_GRANTS, admin: false } };

  it("lets in who has a token for the room, with its identity and grants", async () => {
    const token = await authority.sign({ ...claims, ttlSeconds: 60 });
    const { identity, grants } = await access.forRoom(token, "studio");
    expect(identity).to.equal("ada");
    expect(grants).to.deep.equal(claims.grants);
  });

  it("refuses a missing token", async () => {
    expect(await codeOf(access.forRoom(undefined, "studio"))).to.equal("TOKEN_MISSING");
    expect(await codeOf(access.forRoom("", "studio"))).to.equal("TOKEN_MISSING");
  });

  it("refuses an expired token", async () => {
    let nowMs = 1_700_000_000_000;
    const clock = () => nowMs;
    const options = { nowMs: clock };
    const token = await new TokenAuthority(SECRET, options).sign({ ...claims, ttlSeconds: 60 });
    const policy = new AccessPolicy({ mode: "token", secret: SECRET }, options);
    expect(await codeOf(policy.forRoom(token, "studio"))).to.equal("none");
    nowMs += 61_000;
    expect(await codeOf(policy.forRoom(token, "studio"))).to.equal("TOKEN_EXPIRED");
  });

  it("refuses a token for another room", async () => {
    const token = await authority.sign({ ...claims, ttlSeconds: 60 });
    expect(await codeOf(access.forRoom(token, "kitchen"))).to.equal("TOKEN_WRONG_ROOM");
  });

  it("refuses forged tokens: another secret, no signature, changed claims", async () => {
    const other = new TokenAuthority("another secret that is long enough too");
    const foreign = await other.sign({ ...claims, ttlSeconds: 60 });
    expect(await codeOf(access.forRoom(foreign, "studio"))).to.equal("TOKEN_INVALID");

    const [, payload = "", signature = ""] = (
      await authority.sign({ ...claims, ttlSeconds: 60 })
    ).split(".");
    const none = Buffer.from('{"alg":"none"}').toString("base64url");
    expect(await codeOf(access.forRoom(`${none}.${payload}.`, "studio"))).to.equal("TOKEN_INVALID");

    const header = Buffer.from('{"alg":"HS256"}').toString("base64url");
    const raised = Buffer.from(
      Buffer.from(payload, "base64url").toString().replace('"admin":false', '"admin":true'),
    ).toString("base64url");
    const changed = `${header}.${raised}.${signature}`;
    expect(await codeOf(access.forRoom(changed, "studio"))).to.equal("TOKEN_INVALID");
    expect(await codeOf(access.forRoom("garbage", "studio"))).to.equal("TOKEN_INVALID");
  });

  it("refuses a signed token that never expires or lacks claims", async () => {
    const key = new TextEncoder().encode(SECRET);
    const endless = await new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(key);
    expect(await codeOf(access.forRoom(endless, "studio"))).to.equal("TOKEN_INVALID");
    const empty = await new SignJWT({})
      .setProtectedHeader({ alg: "HS256" })
      .setExpirationTime("1h")
      .sign(key);
    expect(await codeOf(access.forRoom(empty, "studio"))).to.equal("TOKEN_INVALID");
  });

  it("lets everybody take part in open mode, but administer only from this machine", async () => {
    const local = {} as IncomingMessage;
    const open = new AccessPolicy(
      { mode: "open" },
      { isLocalAdmin: (request) => request === local },
    );
    const { identity, grants } = await open.forRoom(undefined, "anything");
    expect(identity).to.equal(undefined);
    expect(grants).to.include({ publish: true, view: true, transform: true, admin: false });
    expect((await open.forRest(undefined, local)).grants.admin).to.equal(true);
    for (const request of [{} as IncomingMessage, undefined]) {
      const caller = await open.forRest(undefined, request);
      expect(caller.grants.admin).to.equal(false);
      expect(caller.adminHint).to.include("auth.mode token");
    }
  });

  it("takes nobody in open mode for a participant, whatever a participant is called", async () => {
    const open = new AccessPolicy({ mode: "open" }, { isLocalAdmin: () => true });
    for (const request of [undefined, {} as IncomingMessage]) {
      expect((await open.forRest(undefined, request)).identity).to.equal(undefined);
    }
  });

  it("tells each token's id, beginning and end", async () => {
    const nowMs = 1_700_000_000_250;
    const at = new TokenAuthority(SECRET, { nowMs: () => nowMs });
    const [first, second] = await Promise.all(
      [1, 2].map(async () => at.verify(await at.sign({ ...claims, ttlSeconds: 60 }))),
    );
    expect(first).to.include({ issuedAtMs: nowMs, expiresAtMs: 1_700_000_060_000 });
    expect(first?.jti).to.be.a("string").and.not.equal(second?.jti);
    const named = await at.verify(await at.sign({ ...claims, ttlSeconds: 60, jti: "t-1" }));
    expect(named.jti).to.equal("t-1");
  });

  it("gives tokens of other makers an id that their holder cannot change", async () => {
    const key = new TextEncoder().encode(SECRET);
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg: "HS256" })
      .setExpirationTime("1h")
      .sign(key);
    const { jti, issuedAtMs } = await authority.verify(token);
    expect(issuedAtMs).to.equal(undefined);
    expect(jti).to.match(/^sha256:/);
    // The last character of 32 bytes in base64url carries two bits that nobody reads.
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const last = letters.indexOf(token.at(-1) ?? "");
    const twin = token.slice(0, -1) + letters[last ^ 1];
    expect(twin).not.to.equal(token);
    expect((await authority.verify(twin)).jti).to.equal(jti);
  });

  it("refuses tokens that are good for longer than the settings allow", async () => {
    const options = { nowMs: () => 1_700_000_000_000 };
    const strict = new AccessPolicy(
      { mode: "token", secret: SECRET, maxTokenTtlSeconds: 3600 },
      options,
    );
    const maker = new TokenAuthority(SECRET, options);
    const long = await maker.sign({ ...claims, ttlSeconds: 3601 });
    const problem = await strict.verify(long).catch((error: Error) => error.message);
    expect(problem).to.include("3601 s").and.include("auth.maxTokenTtlSeconds");
    const right = await maker.sign({ ...claims, ttlSeconds: 3600 });
    expect(await codeOf(strict.verify(right))).to.equal("none");
  });
});

describe("revoked tokens", () => {
  const grants = { ...ALL_GRANTS, admin: false };
  let nowMs: number;
  let access: AccessPolicy;
  beforeEach(() => {
    nowMs = 1_700_000_000_000;
    access = new AccessPolicy(
      { mode: "token", secret: SECRET, maxTokenTtlSeconds: 3600 },
      { nowMs: () => nowMs },
    );
  });

  function token(room: string, identity: string, jti?: string): Promise<string> {
    const more = jti === undefined ? {} : { jti };
    return new TokenAuthority(SECRET, { nowMs: () => nowMs }).sign({
      ...{ room, identity, grants, ttlSeconds: 600 },
      ...more,
    });
  }

  it("are refused by their id, and no others", async () => {
    const [mine, other] = [await token("den", "ada", "t-1"), await token("den", "ada", "t-2")];
    await access.revoke({ jti: "t-1", room: "*" });
    expect(await codeOf(access.forRoom(mine, "den"))).to.equal("TOKEN_REVOKED");
    expect(await codeOf(access.forRest(mine))).to.equal("TOKEN_REVOKED");
    expect(await codeOf(access.forRoom(other, "den"))).to.equal("none");
  });

  it("are refused by room and identity, until new ones are made", async () => {
    const old = await token("den", "ada");
    const [elsewhere, ben] = [await token("attic", "ada"), await token("den", "ben")];
    nowMs += 5;
    await access.revoke({ identity: "ada", room: "den" });
    expect(await codeOf(access.forRoom(old, "den"))).to.equal("TOKEN_REVOKED");
    expect(await codeOf(access.forRoom(elsewhere, "attic"))).to.equal("none");
    expect(await codeOf(access.forRoom(ben, "den"))).to.equal("none");
    nowMs += 1;
    expect(await codeOf(access.forRoom(await token("den", "ada"), "den"))).to.equal("none");
    await access.revoke({ identity: "ada", room: "*" });
    expect(await codeOf(access.forRoom(elsewhere, "attic"))).to.equal("TOKEN_REVOKED");
  });

  it("of another room are out of reach for a room's administrator", async () => {
    const elsewhere = await token("attic", "ada", "t-9");
    await access.revoke({ jti: "t-9", room: "den" });
    expect(await codeOf(access.forRoom(elsewhere, "attic"))).to.equal("none");
  });

  it("end the stays that rest on them", async () => {
    const claims = await access.verify(await token("den", "ada", "t-1"));
    const seen: boolean[] = [];
    const stop = access.onRevoked((revocation) => seen.push(concerns(revocation, claims)));
    await access.revoke({ jti: "t-2", room: "*" });
    await access.revoke({ jti: "t-1", room: "*" });
    expect(seen).to.deep.equal([false, true]);
    expect(await codeOf(access.requireUnrevoked(claims))).to.equal("TOKEN_REVOKED");
    stop();
    await access.revoke({ jti: "t-3", room: "*" });
    expect(seen).to.have.length(2);
  });

  it("are remembered as long as one could be good, and never forgotten for want of space", async () => {
    const store = new MemoryRevocations(() => nowMs, 2);
    const revoked = (jti: string) =>
      store.isRevoked({ room: "den", identity: "ada", jti, issuedAtMs: nowMs });
    const add = (jti: string, room = "den") => store.add({ jti, room, atMs: nowMs }, nowMs + 1000);
    await add("a");
    nowMs += 500;
    await add("b");
    await add("b");
    expect(store.size).to.equal(2);
    expect(await codeOf(add("c"))).to.equal("TOO_MANY_REVOCATIONS");
    expect([await revoked("a"), await revoked("b")]).to.deep.equal([true, true]);
    nowMs += 500;
    await add("c");
    expect(store.size).to.equal(2);
    expect([await revoked("a"), await revoked("b"), await revoked("c")]).to.deep.equal([
      false,
      true,
      true,
    ]);
  });
});
