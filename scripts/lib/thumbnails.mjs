import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { nativeProgramsDir, root } from "./paths.mjs";

/**
 * Runs every preset of config/presets.yaml that names a thumbnail over a clip, through a whole
 * session of the engine, and writes the last picture at 192x108 to client/public.
 * @param {import("./tasks.mjs").TaskContext} context
 * @returns {Promise<number>}
 */
export async function makeThumbnails({ env, args }) {
  if (args.length !== 2 || args[0] !== "--clip") {
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
      const picture = join(folder, "look.ppm");
      const target = join(root, "client/public", preset.thumbnail);
      const look = ["look", "--clip", args[1], "--picture", picture, "--prompt", preset.prompt];
      look.push("--mode", preset.mode ?? "restyle", "--strength", String(preset.strength ?? 0.7));
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
