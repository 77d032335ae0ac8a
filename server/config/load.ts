/**
 * Reads the settings: config/default.yaml, then the file named by
 * DRIFTLESS_CONFIG, then DRIFTLESS__SECTION__KEY variables, later ones winning.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { type Config, configSchema } from "./schema.ts";

const ENV_PREFIX = "DRIFTLESS__";

/** Root of the checkout: relative paths in settings start here, whatever the working directory. */
export const PROJECT_ROOT = path.resolve(import.meta.dirname, "../..");

/** Names every wrong setting, where it came from, what was expected and what was found. */
export class ConfigError extends Error {
  constructor(problems: string[]) {
    super(`The configuration is wrong:\n${problems.map((p) => `  - ${p}`).join("\n")}`);
    this.name = "ConfigError";
  }
}

type Tree = { [key: string]: unknown };
interface Source {
  name: string;
  tree: Tree;
}

export interface LoadConfigOptions {
  env: Record<string, string | undefined>;
  /** Replaces config/default.yaml (tests). */
  defaultFile?: string;
}

/**
 * @returns the complete settings, with paths made absolute.
 * @throws ConfigError that lists all problems at once.
 */
export function loadConfig(options: LoadConfigOptions): Config {
  const defaultFile = options.defaultFile ?? path.join(PROJECT_ROOT, "config/default.yaml");
  const sources = [readYaml(defaultFile)];
  const overrideFile = options.env.DRIFTLESS_CONFIG;
  if (overrideFile) sources.push(readYaml(path.resolve(PROJECT_ROOT, overrideFile)));
  sources.push(...readEnvironment(options.env));

  const merged = sources.reduce((tree, source) => merge(tree, source.tree), {} as Tree);
  const result = configSchema.safeParse(merged);
  if (!result.success) {
    throw new ConfigError(
      result.error.issues.map((issue) => describeIssue(issue, merged, sources)),
    );
  }
  return withAbsolutePaths(result.data);
}

function withAbsolutePaths(config: Config): Config {
  const absolute = (file: string) => path.resolve(PROJECT_ROOT, file);
  return {
    ...config,
    http: { ...config.http, staticDir: absolute(config.http.staticDir) },
    engine: { ...config.engine, modelDir: absolute(config.engine.modelDir) },
    presetsFile: absolute(config.presetsFile),
  };
}

function readYaml(file: string): Source {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError([`${file}: cannot be read (${(error as Error).message})`]);
  }
  let tree: unknown;
  try {
    tree = parseYaml(text) ?? {};
  } catch (error) {
    throw new ConfigError([`${file}: not valid YAML (${(error as Error).message})`]);
  }
  if (!isTree(tree)) {
    throw new ConfigError([`${file}: expected sections with settings, got ${describe(tree)}`]);
  }
  return { name: file, tree };
}

/** One source per variable, so that an error can name the variable. */
function readEnvironment(env: Record<string, string | undefined>): Source[] {
  const sources: Source[] = [];
  const problems: string[] = [];
  for (const [name, raw] of Object.entries(env)) {
    // Compose files pass on variables that nobody set as empty ones.
    if (!name.startsWith(ENV_PREFIX) || raw === undefined || raw === "") continue;
    const found = findSetting(name.slice(ENV_PREFIX.length).split("__"));
    if ("problem" in found) {
      problems.push(`${name}: ${found.problem}`);
      continue;
    }
    const value = found.path.reduceRight<unknown>(
      (inner, key) => ({ [key]: inner }),
      fromEnvironment(raw, found.schema),
    );
    sources.push({ name, tree: value as Tree });
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return sources;
}

type Found = { path: string[]; schema: z.ZodType } | { problem: string };

/** Variables are upper case, settings are camelCase: they are matched without regard to case. */
function findSetting(parts: string[]): Found {
  let schema: z.ZodType = configSchema;
  const found: string[] = [];
  for (const part of parts) {
    const shape = shapeOf(schema);
    const keys = Object.keys(shape);
    const key = keys.find((candidate) => candidate.toLowerCase() === part.toLowerCase());
    const inner = key === undefined ? undefined : shape[key];
    if (key === undefined || inner === undefined) {
      const where = found.length === 0 ? "" : ` in ${found.join(".")}`;
      return {
        problem: `unknown setting "${part}"${where}, expected one of ${keys.join(", ") || "nothing further"}`,
      };
    }
    found.push(key);
    schema = inner;
  }
  return { path: found, schema };
}

/** The keys of a section, looking through defaults; {} for a plain value. */
function shapeOf(schema: z.ZodType): Record<string, z.ZodType> {
  let current: unknown = schema;
  while (
    current instanceof z.ZodPrefault ||
    current instanceof z.ZodDefault ||
    current instanceof z.ZodOptional
  ) {
    current = current.def.innerType;
  }
  return current instanceof z.ZodObject ? (current.shape as Record<string, z.ZodType>) : {};
}

/** "3000" is a number for a port and text for a secret: the setting's schema decides. */
function fromEnvironment(raw: string, schema: z.ZodType): unknown {
  if (schema.safeParse(raw).success) return raw;
  try {
    return parseYaml(raw);
  } catch {
    // Not YAML either: the validation that follows reports the text itself.
    return raw;
  }
}

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function merge(base: Tree, over: Tree): Tree {
  const result: Tree = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = result[key];
    result[key] = isTree(before) && isTree(value) ? merge(before, value) : value;
  }
  return result;
}

function valueAt(tree: unknown, keys: readonly PropertyKey[]): unknown {
  return keys.reduce<unknown>(
    (inner, key) =>
      typeof inner === "object" && inner !== null
        ? (inner as Record<PropertyKey, unknown>)[key]
        : undefined,
    tree,
  );
}

function describe(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value);
}

/** A wrong secret must not reach the log. */
function describeValue(value: unknown, keys: readonly PropertyKey[]): string {
  const secret = keys.some((key) => /secret|credential|token$/i.test(String(key)));
  if (secret && typeof value === "string") return `${value.length} characters`;
  return describe(value);
}

function describeIssue(issue: z.core.$ZodIssue, merged: Tree, sources: Source[]): string {
  if (issue.code === "unrecognized_keys") {
    const section = issue.path.join(".");
    const schema = findSetting(issue.path.map(String));
    const known = Object.keys("schema" in schema ? shapeOf(schema.schema) : configSchema.shape);
    return issue.keys
      .map((key) => {
        const origin = originOf([...issue.path, key], sources);
        const where = section === "" ? "" : ` in ${section}`;
        return `${origin}: unknown setting "${key}"${where}, expected one of ${known.join(", ")}`;
      })
      .join("\n  - ");
  }
  const value = valueAt(merged, issue.path);
  const origin = originOf(issue.path, sources);
  return `${origin}: ${issue.path.join(".")}: ${issue.message}, got ${describeValue(value, issue.path)}`;
}

function originOf(keys: readonly PropertyKey[], sources: Source[]): string {
  const origin = sources.findLast((source) => valueAt(source.tree, keys) !== undefined);
  return origin?.name ?? "missing setting";
}
