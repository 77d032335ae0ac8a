import { expect } from "chai";
import { errorLevel } from "../../../server/media/worker-pool.ts";

describe("what mediasoup says", () => {
  it("is no error where a track ended before our word to its consumer", () => {
    for (const log of [
      "[pid:1] Worker::HandleRequest() | throwing MediaSoupNotFoundError: Channel request handler with ID b6d9 not found [method:consumer.pause]",
      "[pid:1] RTC::Transport::AssertAndGetConsumerById() | throwing MediaSoupNotFoundError: Consumer not found [method:transport.closeConsumer]",
      "worker process died unexpectedly [pid:1, code:null, signal:SIGKILL]",
    ]) {
      expect(errorLevel(log), log).to.equal("debug");
    }
  });

  it("is an error otherwise", () => {
    for (const log of [
      "[pid:1] throwing MediaSoupNotFoundError: Transport not found [method:router.closeTransport]",
      "[pid:1] throwing MediaSoupTypeError: wrong ptime [method:transport.produce]",
    ]) {
      expect(errorLevel(log), log).to.equal("error");
    }
  });
});
