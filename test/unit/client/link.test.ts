import { expect } from "chai";
import { parseRoomInput, parseRoomLink, roomUrl, suggestRoomId } from "../../../client/src/link.ts";

const BASE = "https://meet.example.org";
const link = (path: string) => parseRoomLink(new URL(path, BASE));

describe("room links", () => {
  it("read the room and the token from the address", () => {
    expect(link("/r/studio")).to.deep.equal({ roomId: "studio", token: null });
    expect(link("/r/studio/?token=abc")).to.deep.equal({ roomId: "studio", token: "abc" });
    expect(link("/r/studio#abc")).to.deep.equal({ roomId: "studio", token: "abc" });
    expect(link("/r/studio#token=abc")).to.deep.equal({ roomId: "studio", token: "abc" });
  });

  it("treat what no server accepts as no room", () => {
    for (const path of ["/", "/r/", "/r/a%20b", "/r/%E0%A4%A", `/r/${"x".repeat(65)}`, "/r/a/b"]) {
      expect(link(path).roomId, path).to.equal(null);
    }
  });

  it("accept a whole link or a name in the room field", () => {
    const base = new URL(BASE);
    expect(parseRoomInput(" studio ", base).roomId).to.equal("studio");
    expect(parseRoomInput(`${BASE}/r/studio?token=t`, base)).to.deep.equal({
      roomId: "studio",
      token: "t",
    });
    expect(parseRoomInput("no spaces please", base).roomId).to.equal(null);
    expect(parseRoomInput("http://", base).roomId).to.equal(null);
  });

  it("hand on the room without the own token", () => {
    expect(roomUrl(BASE, "studio")).to.equal(`${BASE}/r/studio`);
  });

  it("suggest names that are valid", () => {
    for (const random of [0, 0.5, 0.999_999]) {
      const roomId = suggestRoomId(() => random);
      expect(parseRoomInput(roomId, new URL(BASE)).roomId).to.equal(roomId);
    }
  });
});
