import { expect } from "chai";
import {
  type ConsumerEntry,
  Consumers,
  type ConsumeTransport,
} from "../../../client/src/media/consumers.ts";
import type { NewConsumer } from "../../../client/src/protocol.ts";

type Consumer = Awaited<ReturnType<ConsumeTransport["consume"]>>;

/** A transport that sets tracks up when the test says so. */
function fakeTransport() {
  const asked: { id: string; finish(): void; fail(error: Error): void; closed: boolean }[] = [];
  const transport: ConsumeTransport = {
    consume: ({ id = "" }) =>
      new Promise((resolve, reject) => {
        const entry = {
          id,
          closed: false,
          fail: reject,
          finish() {
            const close = (): void => {
              entry.closed = true;
            };
            resolve({ id, track: {}, close } as unknown as Consumer);
          },
        };
        asked.push(entry);
      }),
  };
  return { transport, asked };
}

function announcement(consumerId: string, paused = false): NewConsumer {
  return {
    consumerId,
    producerId: `p-${consumerId}`,
    participantId: "ada",
    kind: "video",
    track: "original",
    rtpParameters: { codecs: [] },
    streamId: "ada",
    paused,
  };
}

function registry() {
  const seen: (ConsumerEntry | null)[] = [];
  const ready: string[] = [];
  const consumers = new Consumers(
    { changed: (_id, _slot, entry) => void seen.push(entry === null ? null : { ...entry }) },
    {
      add: (id) => void ready.push(id),
      forget: (id) => void ready.splice(0, ready.length, ...ready.filter((each) => each !== id)),
    },
  );
  return { consumers, seen, ready };
}

describe("received tracks", () => {
  it("are set up once, however often they are named, and acknowledged then", async () => {
    const { consumers, ready } = registry();
    const { transport, asked } = fakeTransport();
    const first = consumers.add(transport, announcement("v"));
    await consumers.add(transport, announcement("v"));
    const listed = consumers.reconcile(transport, [announcement("v")]);
    expect(asked).to.have.length(1);
    expect(ready).to.deep.equal([]);
    asked[0]?.finish();
    await Promise.all([first, listed]);
    expect(ready).to.deep.equal(["v"]);
  });

  it("are dropped where the server closed them while they were set up", async () => {
    const { consumers, seen, ready } = registry();
    const { transport, asked } = fakeTransport();
    const added = consumers.add(transport, announcement("v"));
    consumers.remove("v");
    asked[0]?.finish();
    await added;
    expect(asked[0]?.closed).to.equal(true);
    expect([seen, ready]).to.deep.equal([[], []]);
  });

  it("can be announced again after they could not be set up", async () => {
    const { consumers } = registry();
    const { transport, asked } = fakeTransport();
    const failed = consumers.add(transport, announcement("v"));
    asked[0]?.fail(new Error("no such codec"));
    await failed.then(
      () => expect.fail("expected the failure to come through"),
      (error: unknown) => expect(String(error)).to.contain("no such codec"),
    );
    void consumers.add(transport, announcement("v"));
    expect(asked).to.have.length(2);
  });

  it("agree with the server after an interruption, and are acknowledged once more", async () => {
    const { consumers, seen, ready } = registry();
    const { transport, asked } = fakeTransport();
    for (const id of ["stays", "goes"]) {
      const added = consumers.add(transport, announcement(id));
      asked.at(-1)?.finish();
      await added;
    }
    ready.length = 0;
    const done = consumers.reconcile(transport, [
      announcement("stays", true),
      announcement("comes"),
    ]);
    asked.at(-1)?.finish();
    await done;
    expect(consumers.all().map(({ consumer }) => consumer.id)).to.deep.equal(["stays", "comes"]);
    expect(consumers.all()[0]?.flowing).to.equal(false);
    expect(ready).to.have.members(["stays", "comes"]);
    expect(seen.at(-1)?.consumer.id).to.equal("comes");
  });
});
