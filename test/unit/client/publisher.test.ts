import { expect } from "chai";
import type { Source } from "../../../client/src/protocol.ts";
import { Publisher, type Uplink } from "../../../client/src/room/publisher.ts";
import { createAppState, type LocalMedia } from "../../../client/src/state.ts";

type Track = MediaStreamTrack;

/** An uplink that notes what is asked of it. */
class FakeUplink implements Uplink {
  readonly log: string[] = [];
  readonly #sent = new Set<Source>();
  fail = false;
  publishes(source: Source): boolean {
    return this.#sent.has(source);
  }
  async publish(source: Source, track: Track): Promise<void> {
    if (this.fail) throw new Error("no");
    this.#sent.add(source);
    this.log.push(`publish ${source} ${track.id}`);
  }
  async hold(source: Source): Promise<void> {
    this.log.push(`hold ${source}`);
  }
  async setPaused(source: Source, paused: boolean): Promise<void> {
    this.log.push(`${paused ? "pause" : "resume"} ${source}`);
  }
}

function track(id: string, readyState: MediaStreamTrackState = "live"): Track {
  return { id, readyState } as Track;
}

function publisher() {
  let { local } = createAppState("room", null).get();
  const failures: unknown[] = [];
  const change = (next: Partial<LocalMedia>): void => {
    local = { ...local, ...next };
  };
  const made = new Publisher(
    () => local,
    (_source, error) => failures.push(error),
  );
  return { publisher: made, change, failures };
}

describe("what is sent of the own devices", () => {
  it("is a held source, not an unpublished one, while the camera is off", async () => {
    const { publisher: own, change } = publisher();
    const uplink = new FakeUplink();
    change({ camera: track("one") });
    await own.carry(uplink);
    change({ camera: null, cameraOn: false });
    await own.sync("camera");
    change({ camera: track("two"), cameraOn: true });
    await own.sync("camera");
    expect(uplink.log.filter((each) => each.includes("camera"))).to.deep.equal([
      "publish camera one",
      "resume camera",
      "hold camera",
      "publish camera two",
      "resume camera",
    ]);
  });

  it("is a muted voice that was set up all the same", async () => {
    const { publisher: own, change } = publisher();
    const uplink = new FakeUplink();
    change({ microphone: track("mic"), microphoneOn: false });
    await own.carry(uplink);
    expect(uplink.log).to.deep.equal(["publish microphone mic", "pause microphone", "hold camera"]);
  });

  it("pauses a camera that the system took away, and lets it flow when it is back", async () => {
    const { publisher: own, change } = publisher();
    const uplink = new FakeUplink();
    change({ camera: track("cam") });
    await own.carry(uplink);
    uplink.log.length = 0;
    change({ cameraInterrupted: true });
    await own.sync("camera");
    change({ cameraInterrupted: false });
    await own.sync("camera");
    expect(uplink.log).to.deep.equal(["pause camera", "publish camera cam", "resume camera"]);
  });

  it("goes on in the next session as the devices are then", async () => {
    const { publisher: own, change } = publisher();
    change({ camera: track("cam") });
    await own.carry(new FakeUplink());
    await own.carry(null);
    change({ camera: track("gone", "ended") });
    const next = new FakeUplink();
    await own.carry(next);
    expect(next.log).to.include("hold camera");
  });

  it("reports what does not work in the middle of a call, and goes on", async () => {
    const { publisher: own, change, failures } = publisher();
    const uplink = new FakeUplink();
    await own.carry(uplink);
    uplink.fail = true;
    change({ camera: track("cam") });
    await own.sync("camera");
    expect(failures).to.have.length(1);
    uplink.fail = false;
    await own.sync("camera");
    expect(uplink.log).to.include("publish camera cam");
  });
});
