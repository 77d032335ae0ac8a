import { expect } from "chai";
import { BlackBoxReader, BlackBoxWriter } from "../../../server/engine/black-box.ts";

describe("the black box", () => {
  let reader: BlackBoxReader;
  let writer: BlackBoxWriter;
  beforeEach(() => {
    reader = new BlackBoxReader();
    writer = new BlackBoxWriter(reader.descriptor);
  });
  afterEach(() => reader.close());

  it("is empty at first", () => {
    expect(reader.read()).to.deep.equal({ inCall: null, recent: [] });
  });

  it("tells who was served last, and passes results and errors on", () => {
    expect(writer.during("ann", () => 7)).to.equal(7);
    writer.during("bob", () => undefined);
    expect(() =>
      writer.during("ann", () => {
        throw new Error("no");
      }),
    ).to.throw("no");
    expect(reader.read()).to.deep.equal({ inCall: null, recent: ["ann", "bob"] });
  });

  it("names the call that did not return", () => {
    writer.during("ann", () => undefined);
    writer.during("a much longer name ü", () => {
      expect(reader.read()).to.deep.equal({
        inCall: "a much longer name ü",
        recent: ["a much longer name ü", "ann"],
      });
    });
    writer.during("b", () => undefined);
    expect(reader.read().recent[0]).to.equal("b");
  });

  it("forgets what is long past, and stays as small as it is", () => {
    writer.during("old", () => undefined);
    for (let call = 0; call < 1000; call += 1) {
      writer.during(`session ${call % 3}`, () => undefined);
    }
    expect(reader.read().recent).to.deep.equal(["session 0", "session 2", "session 1"]);
  });

  it("does not stand in the way when it cannot be written", () => {
    expect(new BlackBoxWriter(99_999).during("ann", () => "done")).to.equal("done");
  });
});
