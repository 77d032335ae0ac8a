/**
 * Somewhere for a browser's sound to go. Firefox's audio clock stands still on a machine without a
 * sound device, so a PulseAudio daemon of our own, with a sink that plays to nobody, runs beside it.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const START_LIMIT_MS = 10_000;

export interface SoundSink {
  /** What a program that should play there has to have in its environment. */
  env: Record<string, string>;
  close(): void;
}

/** Null where PulseAudio is not installed: the browser takes the machine's own sound then. */
export async function openSoundSink(): Promise<SoundSink | null> {
  if (spawnSync("pulseaudio", ["--version"]).error !== undefined) return null;
  const folder = mkdtempSync(path.join(tmpdir(), "driftless-sound-"));
  const socket = path.join(folder, "native");
  const daemon = spawn(
    "pulseaudio",
    [
      ...["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--realtime=no"],
      ...["-L", "module-null-sink", "-L"],
      `module-native-protocol-unix auth-anonymous=1 socket=${socket}`,
    ],
    // Its own home: nothing of the person's own sound is read or written.
    { env: { ...process.env, HOME: folder, XDG_RUNTIME_DIR: folder }, stdio: "ignore" },
  );
  const killWithUs = (): void => void daemon.kill("SIGKILL");
  process.once("exit", killWithUs);
  const close = (): void => {
    process.off("exit", killWithUs);
    daemon.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await untilThere(socket, daemon);
  } catch (error) {
    close();
    throw error;
  }
  return { env: { PULSE_SERVER: `unix:${socket}` }, close };
}

async function untilThere(socket: string, daemon: ChildProcess): Promise<void> {
  const endMs = performance.now() + START_LIMIT_MS;
  while (!existsSync(socket)) {
    if (daemon.exitCode !== null) {
      throw new Error(`expected pulseaudio to run, it ended with ${daemon.exitCode}`);
    }
    if (performance.now() > endMs) {
      throw new Error(`expected pulseaudio to open ${socket} within ${START_LIMIT_MS} ms`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
