import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { runForeground, runLogged } from "../../../scripts/lib/command.mjs";
import { SetupError } from "../../../scripts/lib/steps.mjs";

const here = { cwd: process.cwd(), env: process.env };
const commandModule = new URL("../../../scripts/lib/command.mjs", import.meta.url).href;

/** Waits for the line "PID started" in a log. */
async function pidInLog(file: string): Promise<number> {
  for (;;) {
    const match = existsSync(file) ? /(\d+) started/.exec(readFileSync(file, "utf8")) : null;
    if (match) return Number(match[1]);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Waits until a process of that id is gone; a process that stays runs into mocha's timeout. */
async function endOf(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).to.equal("ESRCH");
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const runNode = (code: string) => runForeground(process.execPath, ["-e", code], here);

describe("runForeground", () => {
  it("gives back the exit code of the program", async () => {
    expect(await runNode("process.exit(3)")).to.equal(3);
  });

  it("gives 128 and the signal's number when a signal ended the program", async () => {
    expect(await runNode("process.kill(process.pid, 'SIGKILL')")).to.equal(137);
  });

  it("hands SIGTERM on and waits for the program's own end", async () => {
    const program =
      "process.on('SIGTERM', () => process.exit(7)); setInterval(() => {}, 1e3); console.log('up')";
    const wrapper = `
      import { runForeground } from ${JSON.stringify(commandModule)};
      const options = { cwd: process.cwd(), env: process.env };
      const args = ["-e", ${JSON.stringify(program)}];
      process.exitCode = await runForeground(process.execPath, args, options);`;
    const child: ChildProcess = spawn(
      process.execPath,
      ["--input-type=module", "--eval", wrapper],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    if (child.stdout === null) throw new Error("expected a pipe for the program's output");
    await once(child.stdout, "data");
    child.kill("SIGTERM");
    const [code] = await once(child, "exit");
    expect(code).to.equal(7);
  });
});

describe("runLogged", () => {
  it("ends the whole command when a signal ends the set-up", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "driftless-log-"));
    const logFile = path.join(folder, "step.log");
    const script = "sleep 60 & echo $! started; wait";
    const wrapper = `
      import { runLogged } from ${JSON.stringify(commandModule)};
      const options = { logFile: ${JSON.stringify(logFile)}, cwd: ${JSON.stringify(folder)} };
      await runLogged("sh", ["-c", ${JSON.stringify(script)}], options);`;
    try {
      const child = spawn(process.execPath, ["--input-type=module", "--eval", wrapper]);
      const grandchild = await pidInLog(logFile);
      child.kill("SIGTERM");
      const [code] = await once(child, "exit");
      expect(code).to.equal(143);
      await endOf(grandchild);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("shows the end of the log and the command when that fails", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "driftless-log-"));
    const logFile = path.join(folder, "step.log");
    try {
      const args = ["-e", "console.log('no space left'); process.exit(1)"];
      const failure = await runLogged(process.execPath, args, { logFile, cwd: folder }).then(
        () => null,
        (error: unknown) => error,
      );
      expect(failure).to.be.instanceOf(SetupError);
      const { message, fix } = failure as SetupError;
      expect(message).to.contain("exit code 1").and.to.contain("no space left");
      expect(fix).to.contain(`cd ${folder} && ${process.execPath}`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
