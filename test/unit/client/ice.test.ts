import { EventEmitter } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { keepConnected, type WatchedTransport } from "../../../client/src/media/ice.ts";

type State = WatchedTransport["connectionState"];

/** A transport whose connection does what the test says. */
class Line extends EventEmitter implements WatchedTransport {
  closed = false;
  connectionState: State = "connected";
  become(state: State): void {
    this.connectionState = state;
    this.emit("connectionstatechange", state);
  }
}

function watch(line: Line, restart: () => Promise<void>, reachable = () => true) {
  const seen = { restarts: 0, connected: 0, gaveUp: 0 };
  const { stop, check } = keepConnected(
    line,
    {
      reachable,
      restart: () => {
        seen.restarts += 1;
        return restart();
      },
      connected: () => {
        seen.connected += 1;
      },
      giveUp: () => {
        seen.gaveUp += 1;
      },
    },
    10,
  );
  return { seen, stop, check };
}

describe("a lost media connection", () => {
  it("is repaired by an ICE restart", async () => {
    const line = new Line();
    const { seen } = watch(line, async () => line.become("connected"));
    line.become("failed");
    await sleep(30);
    expect(seen).to.deep.equal({ restarts: 1, connected: 1, gaveUp: 0 });
  });

  it("is left alone when it comes back by itself", async () => {
    const line = new Line();
    const { seen } = watch(line, async () => undefined);
    line.become("disconnected");
    line.become("connected");
    await sleep(40);
    expect(seen.restarts).to.equal(0);
  });

  it("is given up after three restarts, also where the server does not answer", async () => {
    for (const restart of [() => Promise.resolve(), () => Promise.reject(new Error("gone"))]) {
      const line = new Line();
      const { seen } = watch(line, restart);
      line.become("failed");
      await sleep(250);
      expect(seen).to.include({ restarts: 3, gaveUp: 1 });
    }
  });

  it("waits for signalling, which is down with it, and does not count that time", async () => {
    const line = new Line();
    let reachable = false;
    const { seen, check } = watch(
      line,
      async () => line.become("connected"),
      () => reachable,
    );
    line.become("failed");
    await sleep(150);
    expect(seen).to.deep.equal({ restarts: 0, connected: 0, gaveUp: 0 });
    reachable = true;
    check();
    await sleep(8);
    expect(seen).to.include({ restarts: 1, connected: 1 });
  });

  it("is left alone when signalling comes back and the media never went", async () => {
    const line = new Line();
    const { seen, check } = watch(line, async () => undefined);
    check();
    await sleep(30);
    expect(seen.restarts).to.equal(0);
  });

  it("is not touched any more after leaving", async () => {
    const line = new Line();
    const { seen, stop } = watch(line, async () => undefined);
    line.become("failed");
    stop();
    await sleep(40);
    expect(seen.restarts).to.equal(0);
  });
});
