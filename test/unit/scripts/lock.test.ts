import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "chai";
import { withLock } from "../../../scripts/lib/lock.mjs";

describe("withLock", () => {
  let folder: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "driftless-lock-"));
    file = path.join(folder, "setup", "lock");
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  it("lets one in after the other and tells who waits for whom", async () => {
    const order: string[] = [];
    const waited: number[] = [];
    let release = () => {};
    const first = withLock(
      file,
      () => {},
      async () => {
        order.push("first in");
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        order.push("first out");
      },
    );
    const second = withLock(
      file,
      (pid: number) => {
        waited.push(pid);
        release();
      },
      async () => {
        order.push("second in");
      },
    );
    await Promise.all([first, second]);
    expect(order).to.deep.equal(["first in", "first out", "second in"]);
    expect(waited).to.deep.equal([process.pid]);
    expect(existsSync(file)).to.equal(false);
  });

  it("gives the lock back when the work fails", async () => {
    const failing = withLock(
      file,
      () => {},
      () => Promise.reject(new Error("no disk")),
    );
    await failing.then(
      () => expect.fail("should have failed"),
      (error: Error) => expect(error.message).to.equal("no disk"),
    );
    expect(existsSync(file)).to.equal(false);
  });

  it("takes over the lock of a process that is gone", async () => {
    await withLock(
      file,
      () => {},
      async () => {},
    );
    // Above the largest pid that Linux gives.
    writeFileSync(file, "4194305");
    const value = await withLock(
      file,
      () => expect.fail("should not wait"),
      async () => 5,
    );
    expect(value).to.equal(5);
  });
});
