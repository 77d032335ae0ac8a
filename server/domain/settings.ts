/**
 * What a participant may ask of the transform. One schema serves signalling, REST and the engine's
 * protocol, so that a setting is refused at the edge with the same words everywhere.
 */
import { z } from "zod";

/** Longest prompt in characters (UTF-16 code units, as the browser's maxlength counts them). */
export const PROMPT_MAX_CHARS = 500;
/** Most denoising steps; each one costs one forward of the network for each chunk. */
export const STEPS_MAX = 4;

/** Any control or line-separating character: they have no place in a prompt and spoil logs. */
const CONTROL_CHARACTERS = /[\p{Cc}\u2028\u2029]/u;

export const promptSchema = z
  .string()
  .trim()
  .min(1, "expected a prompt of 1 to 500 characters, received an empty one")
  .max(PROMPT_MAX_CHARS, "expected a prompt of at most 500 characters")
  .refine((text) => !CONTROL_CHARACTERS.test(text), {
    error: "expected a prompt without control characters",
  });

/** 1 is the look as the model learnt it; beyond that it is exaggerated. */
export const STRENGTH_MAX = 2;
export const strengthSchema = z.number().min(0).max(STRENGTH_MAX);
export const stepsSchema = z.int().min(1).max(STEPS_MAX);
export const seedSchema = z.int().min(0).max(0xffffffff);

/** What can be put behind a person without a camera, in the engine's words. */
export const SCENES = [
  "gradient",
  "beach",
  "forest",
  "city",
  "mountains",
  "library",
  "space",
  "aurora",
  "office",
  "garden",
  "underwater",
] as const;

/** As CSS writes it. */
export const colorSchema = z
  .string()
  .regex(/^#[0-9a-f]{6}$/i, "expected a colour such as #5b6b7b, six hexadecimal digits");

/** What is behind a person who is cut out: the first of blur, color and scene that is given. */
const behindThePerson = {
  scene: z.enum(SCENES).optional(),
  /** The real room, blurred until nothing in it can be read. */
  blur: z.boolean().optional(),
  color: colorSchema.optional(),
};

/**
 * Repaints the whole picture. For who hides their room, the person alone before something else: then
 * scene, blur and color say before what; of none, before one plain colour.
 */
export const restyleSettingsSchema = z.strictObject({
  mode: z.literal("restyle"),
  ...behindThePerson,
  /** What the picture shall look like. */
  prompt: promptSchema,
  /** 0 keeps the original picture, 1 repaints it fully, up to 2 exaggerates the look. */
  strength: strengthSchema.default(0.8),
  /** Denoising steps for each chunk; more is better and slower. */
  steps: stepsSchema.default(1),
  /** Seed of the stream's noise; the same seed and input give the same picture. */
  seed: seedSchema.default(0),
});

/** Keeps the person and replaces what is behind: a scene, a colour, or the room out of focus. */
export const backgroundSettingsSchema = z
  .strictObject({
    mode: z.literal("background"),
    ...behindThePerson,
    /** Chooses the scene by its words, and how it is painted. May be empty with one of the others. */
    prompt: z.union([promptSchema, z.literal("")]).default(""),
    blur: z.boolean().default(false),
    /** How far the model repaints the scene; 0 shows it as it was drawn. */
    strength: strengthSchema.default(0.4),
    steps: stepsSchema.default(1),
    seed: seedSchema.default(0),
  })
  .refine(
    ({ prompt, scene, blur, color }) =>
      prompt !== "" || scene !== undefined || blur || color !== undefined,
    { error: "expected a prompt, a scene or blur: true, or a color, received none of them" },
  );

/** Off: other keys are accepted and checked, so that a client may always send its whole form. */
export const offSettingsSchema = z.strictObject({
  mode: z.literal("off"),
  prompt: z.string().max(PROMPT_MAX_CHARS).optional(),
  ...behindThePerson,
  strength: strengthSchema.optional(),
  steps: stepsSchema.optional(),
  seed: seedSchema.optional(),
});

export const transformSettingsSchema = z.discriminatedUnion("mode", [
  offSettingsSchema,
  restyleSettingsSchema,
  backgroundSettingsSchema,
]);

export type SceneName = (typeof SCENES)[number];
export type RestyleSettings = z.output<typeof restyleSettingsSchema>;
export type BackgroundSettings = z.output<typeof backgroundSettingsSchema>;
/** Settings of a transform that is on. */
export type ActiveSettings = RestyleSettings | BackgroundSettings;
export type TransformSettings = z.output<typeof transformSettingsSchema>;
/** The form as a client sends it, before defaults are filled in. */
export type TransformSettingsInput = z.input<typeof transformSettingsSchema>;
