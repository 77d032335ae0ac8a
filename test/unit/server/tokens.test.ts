import { expect } from "chai";
import { SignJWT } from "jose";
import { DriftlessError } from "../../../server/errors.ts";
import { AccessPolicy } from "../../../server/security/access.ts";
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
    const token = await new TokenAuthority(SECRET, clock).sign({ ...claims, ttlSeconds: 60 });
    const policy = new AccessPolicy({ mode: "token", secret: SECRET, tokenTtlSeconds: 60 }, clock);
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
    const open = new AccessPolicy({ mode: "open", tokenTtlSeconds: 60 });
    const { identity, grants } = await open.forRoom(undefined, "anything");
    expect(identity).to.equal(undefined);
    expect(grants).to.include({ publish: true, view: true, transform: true, admin: false });
    expect((await open.forRest(undefined, true)).grants.admin).to.equal(true);
    expect((await open.forRest(undefined, false)).grants.admin).to.equal(false);
  });
});
