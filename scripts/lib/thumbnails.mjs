import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { nativeProgramsDir, root } from "./paths.mjs";

/**
 * The arguments of `driftless-bench look` that show a preset as viewers would see it.
 * @param {{ prompt: string, mode?: string, strength?: number, steps?: number, seed?: number, scene?: string }} preset
 * @returns {string[]}
 */
export function lookOf({ prompt, mode = "restyle", strength = 0.7, steps = 1, seed = 0, scene }) {
  const look = ["look", "--prompt", prompt, "--mode", mode, "--strength", String(strength)];
  look.push("--steps", String(steps), "--seed", String(seed));
  return scene === undefined ? look : [...look, "--scene", scene];
}

/**
 * Runs every preset of config/presets.yaml that names a thumbnail (or those of --only) over a clip,
 * through a whole session of the engine, and writes the last picture at 192x108 to client/public.
 * @param {import("./tasks.mjs").TaskContext} context
 * @returns {Promise<number>}
 */
export async function makeThumbnails({ env, args }) {
  const { values } = parseArgs({
    args,
    options: { clip: { type: "string" }, only: { type: "string", multiple: true, default: [] } },
  });
  if (values.clip === undefined) {
    console.error(`thumbnails: expected --clip FILE, got "${args.join(" ")}"`);
    return 2;
  }
  // Not at the top: this file is read before the npm packages are there.
  const { parse } = await import("yaml");
  const { presets } = parse(readFileSync(join(root, "config/presets.yaml"), "utf8"));
  const folder = mkdtempSync(join(tmpdir(), "driftless-thumbnails-"));
  try {
    for (const preset of presets) {
      if (preset.thumbnail === undefined) continue;
      if (values.only.length > 0 && !values.only.includes(preset.id)) continue;
      const picture = join(folder, "look.ppm");
      const target = join(root, "client/public", preset.thumbnail);
      const look = [...lookOf(preset), "--clip", values.clip, "--picture", picture];
      execFileSync(join(nativeProgramsDir, "driftless-bench"), look, { cwd: root, env });
      mkdirSync(dirname(target), { recursive: true });
      const scale = ["-vf", "scale=192:108:flags=area", "-c:v", "libwebp", "-quality", "70"];
      const ffmpeg = env.FFMPEG_BIN ?? "ffmpeg";
      execFileSync(ffmpeg, ["-v", "error", "-y", "-i", picture, ...scale, target]);
      console.log(target);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return 0;
}
