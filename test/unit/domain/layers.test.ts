import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";

/**
 * Which part of the server may know which other one. `values` may be used, of `types` only what is
 * erased: `import type`. Packages are named where only certain parts may have them.
 */
interface Rule {
  values: string[];
  types: string[];
}

const RULES: Record<string, Rule> = {
  "errors.ts": { values: [], types: [] },
  telemetry: { values: [], types: [] },
  domain: { values: ["errors.ts"], types: [] },
  // What a preset may ask for is said by the domain's own schemas.
  config: { values: ["domain/settings.ts", "errors.ts"], types: ["domain"] },
  security: { values: ["domain", "errors.ts", "telemetry"], types: ["config"] },
  media: { values: ["domain", "errors.ts", "telemetry"], types: ["config"] },
  engine: { values: ["domain", "errors.ts", "telemetry"], types: ["config"] },
  transform: {
    values: ["domain", "errors.ts", "telemetry"],
    types: ["config", "media/transform-tap.ts", "engine"],
  },
  edges: {
    values: ["domain", "errors.ts", "security"],
    types: ["config", "media", "telemetry", "transform"],
  },
  app: {
    values: [
      ...["config", "domain", "edges", "engine", "errors.ts", "media", "security", "telemetry"],
      "transform",
    ],
    types: [],
  },
  "main.ts": { values: ["app", "config", "errors.ts", "telemetry"], types: [] },
};

/** Parts of the server that packages with a world of their own are kept to. */
const PACKAGES: Record<string, Rule> = {
  mediasoup: {
    values: ["media"],
    types: ["edges/socket/protocol.ts", "edges/socket/handlers.ts"],
  },
  "socket.io": { values: ["edges/socket"], types: [] },
  express: { values: ["edges/rest"], types: [] },
  "werift-rtp": { values: ["engine/process"], types: [] },
  jose: { values: ["security"], types: [] },
  "prom-client": { values: ["telemetry", "engine/metrics.ts"], types: [] },
  pino: { values: ["telemetry"], types: [] },
};

const DOMAIN_PACKAGES = ["zod", "uuid", "node:events"];

const SERVER = path.resolve(import.meta.dirname, "../../../server");

interface Import {
  /** Below server/. */
  from: string;
  /** Below server/, or a package. */
  to: string;
  typeOnly: boolean;
}

const STATEMENT = /^(?:import|export)\b(?<what>[^;"]*?)\bfrom\s*"(?<to>[^"]+)"/gmu;
const OTHER = /^import\s*"(?<bare>[^"]+)"|\b(?:import|require)\(\s*(?<call>[^)]*)\)/gmu;

function importsOf(from: string, text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//gu, "").replace(/^\s*\/\/.*$/gmu, "");
  const found: Import[] = [];
  const add = (specifier: string, typeOnly: boolean) => {
    const to = specifier.startsWith(".")
      ? path.posix.join(path.posix.dirname(from), specifier)
      : specifier;
    found.push({ from, to, typeOnly });
  };
  for (const { groups } of code.matchAll(STATEMENT)) {
    add(groups?.to ?? "", /^\s*type\b/u.test(groups?.what ?? ""));
  }
  for (const { groups } of code.matchAll(OTHER)) {
    add(groups?.bare ?? (groups?.call ?? "").replace(/^["'`]|["'`]$/gu, ""), false);
  }
  return found;
}

const files = readdirSync(SERVER, { recursive: true, encoding: "utf8" })
  .map((file) => file.split(path.sep).join("/"))
  .filter((file) => file.endsWith(".ts"));
const imports = files.flatMap((file) =>
  importsOf(file, readFileSync(path.join(SERVER, file), "utf8")),
);

const layerOf = (file: string) => file.split("/")[0] ?? "";
const isOwn = ({ to }: Import) => to.endsWith(".ts");
const packageOf = (to: string) => to.split("/", to.startsWith("@") ? 2 : 1).join("/");
const isIn = (file: string, places: readonly string[]) =>
  places.some((place) => file === place || file.startsWith(`${place}/`));
const inWords = ({ from, to, typeOnly }: Import) =>
  `${from} ${typeOnly ? "imports types of" : "imports"} ${to}`;

function isAllowed({ to, typeOnly }: Import, rule: Rule | undefined, own: string): boolean {
  const places = [own, ...(rule?.values ?? []), ...(typeOnly ? (rule?.types ?? []) : [])];
  return isIn(to, places);
}

describe("layers of the server", () => {
  it("are read from the imports", () => {
    expect(files.length).to.be.greaterThan(80);
    expect(imports.map(inWords)).to.include.members([
      "domain/room.ts imports errors.ts",
      "media/egress-gate.ts imports types of domain/room.ts",
      "media/worker-pool.ts imports mediasoup",
      "main.ts imports app/server.ts",
    ]);
    const text = [
      'import type { A } from "../domain/room.ts";',
      'import {\n  type B,\n  c,\n} from "mediasoup";',
      'export { d } from "./d.ts";',
      'import "./e.ts";',
      'const f = await import("../f.ts");',
      '// import { g } from "./g.ts";',
    ].join("\n");
    expect(importsOf("media/x.ts", text).map(inWords)).to.deep.equal([
      "media/x.ts imports types of domain/room.ts",
      "media/x.ts imports mediasoup",
      "media/x.ts imports media/d.ts",
      "media/x.ts imports media/e.ts",
      "media/x.ts imports f.ts",
    ]);
  });

  it("have a rule for every part", () => {
    expect(Object.keys(RULES)).to.include.members([...new Set(files.map(layerOf))]);
  });

  for (const [layer, rule] of Object.entries(RULES)) {
    const known = [...rule.values, ...rule.types.map((type) => `types of ${type}`)];
    it(`${layer} knows ${known.join(", ") || "no other part"}`, () => {
      const wrong = imports.filter(
        (one) => isOwn(one) && layerOf(one.from) === layer && !isAllowed(one, rule, layer),
      );
      expect(wrong.map(inWords)).to.deep.equal([]);
    });
  }

  for (const [name, rule] of Object.entries(PACKAGES)) {
    it(`${name} is kept to ${[...rule.values, ...rule.types].join(", ")}`, () => {
      const users = imports.filter(({ to }) => packageOf(to) === name);
      expect(users, "nobody imports it: does the rule still mean anything?").not.to.deep.equal([]);
      const wrong = users.filter(
        ({ from, typeOnly }) => !isIn(from, rule.values) && !(typeOnly && isIn(from, rule.types)),
      );
      expect(wrong.map(inWords)).to.deep.equal([]);
    });
  }

  it("keeps the domain pure: no input or output, no clocks, no chance but ids", () => {
    const packages = imports.filter(
      (one) => layerOf(one.from) === "domain" && !isOwn(one) && !DOMAIN_PACKAGES.includes(one.to),
    );
    expect(packages.map(inWords)).to.deep.equal([]);
    const impure = files.filter(
      (file) =>
        layerOf(file) === "domain" &&
        /\b(?:Date\.now|new Date\(\)|performance\.now|Math\.random|process\.|await)\b/u.test(
          readFileSync(path.join(SERVER, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gmu, ""),
        ),
    );
    expect(impure, "time and chance are injected, nothing is awaited").to.deep.equal([]);
    const timers = files.filter(
      (file) =>
        layerOf(file) === "domain" &&
        /\bset(?:Timeout|Interval|Immediate)\(/u.test(
          readFileSync(path.join(SERVER, file), "utf8"),
        ),
    );
    expect(timers).to.deep.equal(["domain/schedule.ts"]);
  });

  it("keeps the engine's process apart from its supervisor: they share protocol and black box only", () => {
    const across = imports.filter(
      (one) =>
        isOwn(one) &&
        one.from.startsWith("engine/process/") !== one.to.startsWith("engine/process/") &&
        layerOf(one.from) === "engine" &&
        layerOf(one.to) === "engine" &&
        !one.typeOnly &&
        !["engine/protocol.ts", "engine/black-box.ts"].includes(one.to),
    );
    expect(across.map(inWords)).to.deep.equal([]);
  });

  it("keeps edges apart from each other", () => {
    const edgeOf = (file: string) => file.split("/").slice(0, 2).join("/");
    const across = imports.filter(
      ({ from, to }) =>
        layerOf(from) === "edges" && layerOf(to) === "edges" && edgeOf(from) !== edgeOf(to),
    );
    expect(across.map(inWords)).to.deep.equal([]);
  });

  it("have no circles of imports", () => {
    const next = new Map<string, string[]>();
    for (const one of imports) {
      if (isOwn(one) && !one.typeOnly) {
        next.set(one.from, [...(next.get(one.from) ?? []), one.to]);
      }
    }
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, way: readonly string[]) => {
      const at = way.indexOf(file);
      if (at >= 0) circles.push([...way.slice(at), file].join(" -> "));
      if (at >= 0 || done.has(file)) return;
      for (const to of next.get(file) ?? []) visit(to, [...way, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    expect(circles).to.deep.equal([]);
  });
});
