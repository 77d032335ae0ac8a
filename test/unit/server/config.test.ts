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
    for (const name of readdirSync(folderOfExamples)) {
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
