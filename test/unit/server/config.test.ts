import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { ConfigError, loadConfig, PROJECT_ROOT } from "../../../server/config/load.ts";
import { loadOffers } from "../../../server/config/presets.ts";
import { configSchema } from "../../../server/config/schema.ts";

describe("configuration", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), "driftless-config-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  function file(content: string): string {
    const name = path.join(folder, "config.yaml");
    writeFileSync(name, content);
    return name;
  }

  function problemOf(env: Record<string, string>): string {
    try {
      loadConfig({ env });
    } catch (error) {
      expect(error).to.be.instanceOf(ConfigError);
      return (error as ConfigError).message;
    }
    throw new Error("Expected a ConfigError.");
  }

  it("shows in default.yaml the defaults of the schema", () => {
    const shown = parse(readFileSync(path.join(PROJECT_ROOT, "config/default.yaml"), "utf8"));
    expect(configSchema.parse(shown)).to.deep.equal(configSchema.parse({}));
    for (const [section, defaults] of Object.entries(configSchema.parse({}))) {
      if (typeof defaults === "object") expect(shown[section]).to.have.all.keys(defaults);
    }
  });

  it("lets a file override defaults and variables override the file", () => {
    const config = loadConfig({
      env: {
        DRIFTLESS_CONFIG: file("http: { port: 4000, host: 0.0.0.0 }\nlimits: { maxRooms: 7 }\n"),
        DRIFTLESS__HTTP__PORT: "5000",
        DRIFTLESS__HTTP__ALLOWEDORIGINS: '["https://example.org"]',
      },
    });
    expect(config.http).to.include({ port: 5000, host: "0.0.0.0" });
    expect(config.http.allowedOrigins).to.deep.equal(["https://example.org"]);
    expect(config.limits.maxRooms).to.equal(7);
  });

  it("reads the examples", () => {
    const folderOfExamples = path.join(PROJECT_ROOT, "config/examples");
    for (const name of readdirSync(folderOfExamples).filter((file) => file.endsWith(".yaml"))) {
      const env = {
        DRIFTLESS_CONFIG: path.join(folderOfExamples, name),
        DRIFTLESS__AUTH__SECRET: "x".repeat(32),
      };
      expect(loadConfig({ env }).sfu.announcedAddress, name).to.be.a("string");
    }
  });

  it("asks for the address that browsers reach when it listens everywhere", () => {
    const problem = problemOf({ DRIFTLESS__SFU__LISTENIP: "0.0.0.0" });
    expect(problem).to.include("sfu.announcedAddress: expected the address that browsers reach");
  });

  it("takes as public address a URL without a path", () => {
    for (const url of [
      "https://meet.example.org",
      "http://localhost:3000/",
      "https://[::1]:8443",
    ]) {
      expect(loadConfig({ env: { DRIFTLESS__HTTP__PUBLICURL: url } }).http.publicUrl).to.equal(url);
    }
    for (const url of [
      "meet.example.org",
      "https://meet.example.org/rooms",
      "ftp://meet.example.org",
      "https://me@meet.example.org",
      "https://meet.example.org/?a=1",
    ]) {
      const problem = problemOf({ DRIFTLESS__HTTP__PUBLICURL: url });
      expect(problem, url).to.include(
        "DRIFTLESS__HTTP__PUBLICURL: http.publicUrl: expected https://",
      );
      expect(problem).to.include(url);
    }
  });

  it("takes as further hosts names and addresses, without scheme and port", () => {
    const hosts = ["meet.lan", ".example.org", "192.168.1.20", "2001:db8::1", "my_host"];
    const env = { DRIFTLESS__HTTP__ALLOWEDHOSTS: JSON.stringify(hosts) };
    expect(loadConfig({ env }).http.allowedHosts).to.deep.equal(hosts);
    for (const host of ["https://meet.lan", "meet.lan:3000", "*.lan", "a b", "", "."]) {
      const wrong = JSON.stringify(["meet.lan", host]);
      expect(problemOf({ DRIFTLESS__HTTP__ALLOWEDHOSTS: wrong }), host).to.include(
        "http.allowedHosts.1: expected a name or an address without scheme and port",
      );
    }
  });

  it("reads where media is received", () => {
    for (const ip of ["auto", "192.168.1.20", "::1"]) {
      expect(loadConfig({ env: { DRIFTLESS__SFU__LISTENIP: ip } }).sfu.listenIp).to.equal(ip);
    }
    expect(problemOf({ DRIFTLESS__SFU__LISTENIP: "eth0" })).to.include(
      'sfu.listenIp: expected auto, or an IPv4 or IPv6 address of this machine, got "eth0"',
    );
  });

  it("reads a TURN server and does not print a wrong secret", () => {
    const env = {
      DRIFTLESS__SFU__TURN__URLS: '["turn:turn.example.org:3478?transport=udp", "turns:t.example"]',
      DRIFTLESS__SFU__TURN__SECRET: "0123456789abcdef",
    };
    expect(loadConfig({ env }).sfu.turn).to.deep.equal({
      urls: ["turn:turn.example.org:3478?transport=udp", "turns:t.example"],
      secret: "0123456789abcdef",
      ttlSeconds: 43_200,
    });
    const short = problemOf({ ...env, DRIFTLESS__SFU__TURN__SECRET: "hunter2" });
    expect(short).to.include("sfu.turn.secret").and.not.include("hunter2");
    const urls = problemOf({ ...env, DRIFTLESS__SFU__TURN__URLS: "stun:turn.example.org" });
    expect(urls).to.include("sfu.turn.urls");
    expect(problemOf({ DRIFTLESS__SFU__TURN__TTLSECONDS: "600" })).to.include("sfu.turn.urls");
  });

  it("does not print a wrong token for metrics", () => {
    const problem = problemOf({ DRIFTLESS__METRICS__TOKEN: "two words of a token" });
    expect(problem).to.include("metrics.token: expected at least 16").and.not.include("two words");
  });

  it("lets tokens live no longer than the longest life", () => {
    const problem = problemOf({ DRIFTLESS__AUTH__MAXTOKENTTLSECONDS: "600" });
    expect(problem).to.include("auth.tokenTtlSeconds: expected at most auth.maxTokenTtlSeconds");
  });

  it("reads which devices the engines are on", () => {
    const lists = [
      "auto",
      "cuda",
      "cuda:7",
      "cuda:0,cuda:1",
      "cuda:0; cuda:1,cuda:2",
      "cpu, cpu;cpu",
    ];
    for (const backend of lists) {
      const config = loadConfig({ env: { DRIFTLESS__ENGINE__BACKEND: backend } });
      expect(config.engine.backend).to.equal(backend);
    }
    for (const backend of ["gpu", "cuda:0,", "cuda:0;;cuda:1", "auto,cpu", "cuda:x"]) {
      const problem = problemOf({ DRIFTLESS__ENGINE__BACKEND: backend });
      expect(problem, backend).to.contain("a list such as cuda:0,cuda:1");
    }
  });

  it("keeps a secret of digits as text", () => {
    const secret = "1".repeat(40);
    const { auth } = loadConfig({ env: { DRIFTLESS__AUTH__SECRET: secret } });
    expect(auth.secret).to.equal(secret);
  });

  it("names an unknown key of a file, the file, and what is known", () => {
    const name = file("http: { prot: 4000 }\nhtpp: {}\n");
    const problem = problemOf({ DRIFTLESS_CONFIG: name });
    expect(problem).to.include(
      `${name}: unknown setting "prot" in http, expected one of host, port`,
    );
    expect(problem).to.include(`${name}: unknown setting "htpp", expected one of http, sfu`);
  });

  it("takes an empty variable for none", () => {
    const config = loadConfig({
      env: {
        DRIFTLESS__HTTP__PUBLICURL: "",
        DRIFTLESS__SFU__TURN__URLS: "",
        DRIFTLESS__HTTP__PORT: "",
      },
    });
    expect(config.http).to.include({ port: 3000 }).and.not.have.property("publicUrl");
    expect(config.sfu).not.to.have.property("turn");
  });

  it("names an unknown variable", () => {
    const problem = problemOf({ DRIFTLESS__SFU__PORT: "1" });
    expect(problem).to.include('DRIFTLESS__SFU__PORT: unknown setting "PORT" in sfu');
    expect(problem).to.include("rtcMinPort");
  });

  it("says what was expected and what came", () => {
    const problem = problemOf({ DRIFTLESS__HTTP__PORT: "eighty", DRIFTLESS__LOG__LEVEL: "loud" });
    expect(problem).to.match(/DRIFTLESS__HTTP__PORT: http\.port: .*expected number.* got "eighty"/);
    expect(problem).to.match(/DRIFTLESS__LOG__LEVEL: log\.level: .*"info".* got "loud"/);
  });

  it("needs a secret for token mode and does not print a wrong one", () => {
    expect(problemOf({ DRIFTLESS__AUTH__MODE: "token" })).to.include("auth.secret");
    const problem = problemOf({ DRIFTLESS__AUTH__SECRET: "hunter2" });
    expect(problem).to.include("got 7 characters").and.not.include("hunter2");
  });

  it("names a file that is missing or not YAML", () => {
    expect(problemOf({ DRIFTLESS_CONFIG: "/nowhere.yaml" })).to.include(
      "/nowhere.yaml: cannot be read",
    );
    expect(problemOf({ DRIFTLESS_CONFIG: file("a: [") })).to.include("not valid YAML");
    expect(problemOf({ DRIFTLESS_CONFIG: file("- a") })).to.include("expected sections");
  });

  it("reads the presets that come with the server and names wrong entries", () => {
    const { presets, suggestions } = loadOffers(path.join(PROJECT_ROOT, "config/presets.yaml"));
    expect(presets).to.have.length.above(3);
    expect(suggestions.restyle).to.have.length.above(3);
    expect(suggestions.background).to.have.length.above(3);
    for (const { id, thumbnail } of presets) {
      expect(thumbnail, `picture of ${id}`).to.be.a("string");
      expect(existsSync(path.join(PROJECT_ROOT, "client/public", thumbnail ?? "")), id).to.equal(
        true,
      );
    }
    expect(loadOffers(file("presets: []")).suggestions.restyle).to.deep.equal([]);
    const wrong = file("presets: [{ id: a, name: A, prompt: '', strength: 3 }]");
    expect(() => loadOffers(wrong)).to.throw(
      ConfigError,
      /presets\.0\.prompt.*\n.*presets\.0\.strength/,
    );
  });
});
