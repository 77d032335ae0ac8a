/** What the engine's side of the protocol answers. */
import { expect } from "chai";
import { systemClock } from "../../../server/engine/process/clock.ts";
import { EngineHost } from "../../../server/engine/process/host.ts";
import type { EngineMessage } from "../../../server/engine/protocol.ts";
import { createEchoEngine } from "./support/echo-engine.ts";
import { SfuPeer } from "./support/sfu-peer.ts";

describe("EngineHost's answers", () => {
  let peer: SfuPeer;
  let host: EngineHost;
  let engine: ReturnType<typeof createEchoEngine>;
  let said: EngineMessage[];

  beforeEach(async () => {
    peer = await SfuPeer.create();
    engine = createEchoEngine();
    said = [];
    host = new EngineHost({
      engine,
      maxSessions: 2,
      clock: systemClock,
      send: (message) => said.push(message),
      onDeviceLost: () => undefined,
    });
  });
  afterEach(async () => {
    await host.close();
    peer.close();
  });

  const answers = () =>
    said.filter(({ type }) => !["sessionState", "progress", "log"].includes(type));

  it("says of each change of settings whether it was taken", async () => {
    const { transform } = peer.openMessage("x");
    await host.handle(peer.openMessage("one"));
    const change = { type: "setTransform", sessionId: "one" };
    await host.handle({ ...change, revision: 2, transform: { ...transform, prompt: "ink" } });
    await host.handle({ ...change, revision: 3, transform: { ...transform, prompt: "refuse" } });
    expect(answers().slice(1)).to.deep.equal([
      { type: "transformAccepted", sessionId: "one", revision: 2 },
      {
        type: "transformRefused",
        sessionId: "one",
        revision: 3,
        message: "expected another prompt than refuse",
      },
    ]);
    expect(host.sessionCount).to.equal(1);
  });

  it("tells by a code why it does not open a session", async () => {
    const { transform } = peer.openMessage("x");
    await host.handle(peer.openMessage("one"));
    const opened = said.find((message) => message.type === "sessionOpened");
    await host.handle(peer.openMessage("one"));
    await host.handle(peer.openMessage("two", { localPort: opened?.localPort ?? 0 }));
    await host.handle(peer.openMessage("three", { transform: { ...transform, prompt: "refuse" } }));
    await host.handle(peer.openMessage("four"));
    await host.handle(peer.openMessage("five"));
    const codes = said.flatMap((message) => (message.type === "sessionError" ? message.code : []));
    expect(codes).to.deep.equal(["refused", "port", "refused", "full"]);
  });

  it("leaves no session behind that is closed while it opens", async () => {
    const opening = host.handle(peer.openMessage("one"));
    await host.handle({ type: "closeSession", sessionId: "one" });
    await opening;
    expect(answers()).to.deep.equal([]);
    expect(host.sessionCount).to.equal(0);
    expect(engine.sessions.map(({ closed }) => closed)).to.deep.equal([true]);
    await host.handle(peer.openMessage("one"));
    expect(answers().map(({ type }) => type)).to.deep.equal(["sessionOpened"]);
  });
});
