import { expect } from "chai";
import fc from "fast-check";
import {
  type Connection,
  type ConnectionEffect,
  type ConnectionEvent,
  FIRST_STATE,
  MAX_FAILURES,
  retryDelayMs,
  step,
} from "../../../client/src/room/connection.ts";

/** Runs events one after the other; `joined` without a number answers the newest attempt. */
function run(events: (ConnectionEvent | "joined" | "failed" | "failedForGood")[]) {
  let state: Connection = FIRST_STATE;
  let effects: ConnectionEffect[] = [];
  for (const event of events) {
    const { attempt } = state;
    const real: ConnectionEvent =
      event === "joined"
        ? { type: "joined", attempt }
        : event === "failed" || event === "failedForGood"
          ? { type: "joinFailed", attempt, mayPass: event === "failed" }
          : event;
    ({ state, effects } = step(state, real));
  }
  return { state, effects };
}

const opened: ConnectionEvent = { type: "opened" };
const dropped: ConnectionEvent = { type: "dropped", willRetry: true };
const timer: ConnectionEvent = { type: "timer" };

describe("the way into a room", () => {
  it("joins at every new connection, and keeps what it has", () => {
    expect(run([opened]).effects).to.deep.equal([{ do: "join", attempt: 1, anew: false }]);
    expect(run([opened, "joined"]).state).to.include({ name: "joined", member: true });
    const back = run([opened, "joined", dropped, opened]);
    expect(back.state.name).to.equal("joining");
    expect(back.effects).to.deep.include({ do: "join", attempt: back.state.attempt, anew: false });
  });

  it("ends where the first join or connection fails", () => {
    expect(run([opened, "failed"])).to.deep.include({ effects: [{ do: "end" }] });
    const refused = run([{ type: "refused", willRetry: true, mayPass: true }]);
    expect(refused.effects).to.deep.equal([{ do: "end" }]);
  });

  it("does not listen to an answer from before the connection was lost", () => {
    const { state } = run([opened, "joined", dropped, opened]);
    const stale = step(state, { type: "joined", attempt: state.attempt - 1 });
    expect(stale.state.name).to.equal("joining");
    const failed = step(state, { type: "joinFailed", attempt: state.attempt - 2, mayPass: false });
    expect(failed.state.name).to.equal("joining");
  });

  it("waits longer after each refusal, and gives up in the end", () => {
    let { state, effects } = run([opened, "joined", dropped, opened, "failed"]);
    expect(state.name).to.equal("waiting");
    expect(effects).to.deep.equal([{ do: "wait", failures: 1 }]);
    let tries = 1;
    while (state.name !== "ended") {
      ({ state } = step(state, timer));
      ({ state, effects } = step(state, {
        type: "joinFailed",
        attempt: state.attempt,
        mayPass: true,
      }));
      tries += 1;
    }
    expect(tries).to.equal(MAX_FAILURES);
    expect(effects).to.deep.equal([{ do: "end" }]);
    expect(run([opened, "joined", dropped, opened, "failed", timer, "joined"]).state).to.include({
      name: "joined",
      failures: 0,
    });
  });

  it("makes a new connection itself where the server closed the old one on purpose", () => {
    const closed = run([opened, "joined", { type: "dropped", willRetry: false }]);
    expect(closed.state.name).to.equal("away");
    expect(closed.effects).to.deep.equal([{ do: "wait", failures: 1 }]);
    expect(step(closed.state, timer).effects).to.deep.equal([{ do: "connect" }]);
  });

  it("stays away, and tries again, while a member's connection is refused for the moment", () => {
    const events = [opened, "joined", dropped] as const;
    const wait = run([...events, { type: "refused", willRetry: false, mayPass: true }]);
    expect(wait.state.name).to.equal("away");
    expect(wait.effects).to.deep.equal([{ do: "wait", failures: 1 }]);
    const final = run([...events, { type: "refused", willRetry: false, mayPass: false }]);
    expect(final.state.name).to.equal("ended");
  });

  it("joins again on the same connection when the room was rebuilt, also while joining", () => {
    expect(run([opened, "joined", { type: "rebuilt" }]).effects).to.have.length(1);
    const twice = run([opened, { type: "rebuilt" }]);
    expect(twice.effects).to.deep.equal([{ do: "join", attempt: 2, anew: false }]);
    expect(run([opened, "joined", dropped, { type: "rebuilt" }]).effects).to.deep.equal([]);
  });

  it("begins anew when the media is beyond repair", () => {
    const lost = run([opened, "joined", { type: "mediaLost" }]);
    expect(lost.effects).to.deep.equal([{ do: "join", attempt: 2, anew: true }]);
    expect(run([opened, "joined", dropped, { type: "mediaLost" }]).effects).to.deep.equal([]);
  });

  it("never does anything after the end, and never joins without a connection", () => {
    const any = fc.constantFrom<ConnectionEvent | "joined" | "failed" | "failedForGood">(
      opened,
      dropped,
      { type: "dropped", willRetry: false },
      { type: "refused", willRetry: false, mayPass: true },
      { type: "rebuilt" },
      { type: "mediaLost" },
      timer,
      "joined",
      "failed",
      "failedForGood",
      { type: "left" },
    );
    fc.assert(
      fc.property(fc.array(any, { maxLength: 40 }), (events) => {
        let open = false;
        let state: Connection = FIRST_STATE;
        for (const each of events) {
          const type = typeof each === "string" ? each : each.type;
          // Answers come on a connection only, and a connection is refused only where none is.
          if (!open && (type === "joined" || type.startsWith("failed"))) continue;
          if (open && (type === "refused" || type === "opened")) continue;
          if (type === "opened") open = true;
          if (type === "dropped") open = false;
          const before = state;
          const result = step(
            state,
            each === "joined"
              ? { type: "joined", attempt: state.attempt }
              : typeof each === "string"
                ? { type: "joinFailed", attempt: state.attempt, mayPass: each === "failed" }
                : each,
          );
          ({ state } = result);
          if (before.name === "ended") expect(result.effects).to.deep.equal([]);
          for (const effect of result.effects) {
            if (effect.do === "join") expect(open, JSON.stringify(events)).to.equal(true);
            if (effect.do === "connect") expect(open, JSON.stringify(events)).to.equal(false);
          }
        }
      }),
    );
  });

  it("spreads the tries of many pages", () => {
    expect(retryDelayMs(1, 0)).to.equal(375);
    expect(retryDelayMs(1, 1)).to.equal(625);
    expect(retryDelayMs(20, 0.5)).to.equal(5_000);
  });
});
