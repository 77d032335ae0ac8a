import { expect } from "chai";
import { compareConsumers, compareProducers } from "../../../client/src/media/reconcile.ts";
import type { NewConsumer } from "../../../client/src/protocol.ts";

function consumer(consumerId: string, paused: boolean): NewConsumer {
  const rtpParameters = { codecs: [] };
  const of = { producerId: `p-${consumerId}`, participantId: "a", streamId: "a" };
  return { consumerId, kind: "video", track: "original", paused, rtpParameters, ...of };
}

describe("tracks after an interruption", () => {
  it("closes received tracks that are gone, adds new ones and follows their flow", () => {
    const have = [
      { consumerId: "same", flowing: true },
      { consumerId: "gone", flowing: true },
      { consumerId: "held", flowing: true },
      { consumerId: "freed", flowing: false },
    ];
    const listed = [
      consumer("same", false),
      consumer("held", true),
      consumer("freed", false),
      consumer("new", true),
    ];
    const changes = compareConsumers(have, listed);
    expect(changes.close).to.deep.equal(["gone"]);
    expect(changes.add.map(({ consumerId }) => consumerId)).to.deep.equal(["new"]);
    expect(changes.flow).to.deep.equal([
      { consumerId: "held", flowing: false },
      { consumerId: "freed", flowing: true },
    ]);
  });

  it("changes nothing where both sides agree", () => {
    const have = [{ consumerId: "a", flowing: false }];
    expect(compareConsumers(have, [consumer("a", true)])).to.deep.equal({
      close: [],
      add: [],
      flow: [],
    });
  });

  it("sends own tracks anew that the server lost, and closes what only the server has", () => {
    const camera = { source: "camera", producerId: "c", paused: false } as const;
    const microphone = { source: "microphone", producerId: "m", paused: true } as const;
    expect(
      compareProducers([camera, microphone], [{ ...microphone, paused: false }]),
    ).to.deep.equal({
      republish: ["camera"],
      close: [],
      pause: [{ producerId: "m", paused: true }],
    });
    expect(compareProducers([], [camera])).to.deep.equal({
      republish: [],
      close: ["c"],
      pause: [],
    });
  });
});
