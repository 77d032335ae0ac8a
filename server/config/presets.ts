/** The styles and backgrounds offered in the client, kept in a YAML file that an operator may edit. */
import { readFileSync } from "node:fs";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { SCENES, strengthSchema } from "../domain/settings.ts";
import { ConfigError } from "./load.ts";

const presetSchema = z.strictObject({
  id: z.string().regex(/^[a-z0-9-]{1,40}$/),
  name: z.string().min(1).max(40),
  /** What the prompt describes: the whole picture, or what is behind the person. */
  mode: z.enum(["restyle", "background"]).default("restyle"),
  prompt: z.string().trim().min(1).max(500),
  /** Of a background; without it the prompt's words choose. */
  scene: z.enum(SCENES).optional(),
  strength: strengthSchema.optional(),
  steps: z.int().min(1).max(4).optional(),
  seed: z.int().min(0).max(0xffffffff).optional(),
  /** Picture on the button: a path below the page, such as "presets/beach.webp". */
  thumbnail: z
    .string()
    .regex(/^[a-z0-9-]+(\/[a-z0-9-]+)*\.(webp|jpg|png)$/)
    .optional(),
});

const prompts = z.array(z.string().trim().min(1).max(100)).max(30).default([]);

const offersSchema = z.strictObject({
  presets: z.array(presetSchema).max(100),
  /** Words to try, by what they describe. */
  suggestions: z
    .strictObject({ restyle: prompts, background: prompts })
    .default({ restyle: [], background: [] }),
});

export type Preset = z.output<typeof presetSchema>;
/** What the page offers: buttons, and words to try. */
export type Offers = z.output<typeof offersSchema>;

/** @throws ConfigError that names the file and each wrong entry. */
export function loadOffers(file: string): Offers {
  let content: unknown;
  try {
    content = parseYaml(readFileSync(file, "utf8"));
  } catch (error) {
    throw new ConfigError([`${file}: cannot be read (${(error as Error).message})`]);
  }
  const result = offersSchema.safeParse(content);
  if (!result.success) {
    throw new ConfigError(
      result.error.issues.map((issue) => `${file}: ${issue.path.join(".")}: ${issue.message}`),
    );
  }
  return result.data;
}
