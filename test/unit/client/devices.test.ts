import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { Source } from "../../../client/src/protocol.ts";
import { LocalDevices } from "../../../client/src/room/local-devices.ts";
import { createAppState } from "../../../client/src/state.ts";

/** A track as the system gives it; the test takes it away, or hands it back. */
class FakeTrack extends EventTarget {
  readyState: MediaStreamTrackState = "live";
  enabled = true;
  muted = false;
  readonly kind: string;
  readonly label: string;
  readonly deviceId: string;
  constructor(kind: string, deviceId: string, label: string) {
    super();
    this.kind = kind;
    this.deviceId = deviceId;
    this.label = label;
  }
  getSettings(): MediaTrackSettings {
    return { deviceId: this.deviceId };
  }
  stop(): void {
    this.readyState = "ended";
  }
  /** The system's doing. */
  end(): void {
    this.readyState = "ended";
    this.dispatchEvent(new Event("ended"));
  }
  mute(muted: boolean): void {
    this.muted = muted;
    this.dispatchEvent(new Event(muted ? "mute" : "unmute"));
  }
}

/** A computer with these cameras and a microphone. */
class FakeComputer extends EventTarget {
  cameras: string[];
  refuse: string | null = null;
  /** What was opened: the wanted device, or "any". */
  readonly opened: string[] = [];
  readonly tracks: FakeTrack[] = [];
  constructor(...cameras: string[]) {
    super();
    this.cameras = cameras;
  }

  async getUserMedia(constraints: MediaStreamConstraints = {}): Promise<MediaStream> {
    const { video, audio } = constraints as Record<string, MediaTrackConstraints | undefined>;
    const wanted = ((video ?? audio)?.deviceId as { exact?: string } | undefined)?.exact;
    this.opened.push(`${video ? "camera" : "microphone"} ${wanted ?? "any"}`);
    if (this.refuse !== null) throw Object.assign(new Error("refused"), { name: this.refuse });
    const devices = video ? this.cameras : ["mic"];
    const found = wanted === undefined ? devices[0] : devices.find((id) => id === wanted);
    if (found === undefined) {
      // Firefox and Chromium throw something that is no DOMException here.
      const name = wanted === undefined ? "NotFoundError" : "OverconstrainedError";
      throw Object.assign(new Error("no such device"), { name });
    }
    const track = new FakeTrack(video ? "video" : "audio", found, `${found} label`);
    this.tracks.push(track);
    return { getTracks: () => [track] } as unknown as MediaStream;
  }

  async enumerateDevices(): Promise<MediaDeviceInfo[]> {
    const info = (kind: MediaDeviceKind, deviceId: string) =>
      ({ kind, deviceId, label: `${deviceId} label` }) as MediaDeviceInfo;
    return [...this.cameras.map((id) => info("videoinput", id)), info("audioinput", "mic")];
  }
}

function desk(computer: FakeComputer, options: { stored?: string; granted?: boolean } = {}) {
  const store = createAppState("room", null);
  const kept = new Map<string, string>();
  if (options.stored !== undefined) kept.set("driftless.camera", options.stored);
  const sight = { visible: true, listener: () => undefined as unknown };
  const devices = new LocalDevices(store, {
    media: computer,
    permissions: {
      query: async () => ({ state: options.granted ? "granted" : "prompt" }) as PermissionStatus,
    },
    storage: {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => void kept.set(key, value),
    },
    visible: () => sight.visible,
    onVisible: (listener) => {
      sight.listener = listener;
    },
  });
  const changes: Source[] = [];
  devices.onTrack = (source) => void changes.push(source);
  const notice = (id: string): string =>
    store.get().notices.find((each) => each.id === id)?.text ?? "";
  const camera = () => store.get().local.camera as unknown as FakeTrack | null;
  return { devices, store, changes, notice, camera, kept, sight };
}

/** Lets queued work of the devices run. */
const settle = () => sleep(5);

describe("the own devices", () => {
  it("are not asked for before a click, unless they are allowed already", async () => {
    const computer = new FakeComputer("cam");
    await desk(computer).devices.openIfAllowed();
    expect(computer.opened).to.deep.equal([]);
    await desk(computer, { granted: true }).devices.openIfAllowed();
    expect(computer.opened).to.deep.equal(["camera any", "microphone any"]);
  });

  it("take another camera where the stored one is gone, and say so", async () => {
    const computer = new FakeComputer("other");
    const { devices, notice, camera } = desk(computer, { stored: "sold" });
    await devices.open();
    expect(computer.opened.slice(0, 2)).to.deep.equal(["camera sold", "camera any"]);
    expect(camera()?.deviceId).to.equal("other");
    expect(notice("camera")).to.contain("is not there").and.to.contain("other label");
  });

  it("say that there is none where there is none, and are off then", async () => {
    const { devices, notice, store } = desk(new FakeComputer(), { stored: "sold" });
    await devices.open();
    expect(notice("camera")).to.contain("No camera was found");
    expect(store.get().local.cameraOn).to.equal(false);
    expect(store.get().local.microphone).not.to.equal(null);
  });

  it("are not tried without an id where the person refused", async () => {
    const computer = new FakeComputer("cam");
    computer.refuse = "NotAllowedError";
    const { devices, notice } = desk(computer, { stored: "cam" });
    await devices.open();
    expect(computer.opened).to.deep.equal(["camera cam", "microphone any"]);
    expect(notice("camera")).to.contain("not allowed");
  });

  it("replace a camera that is unplugged by another, and say so", async () => {
    const computer = new FakeComputer("first", "second");
    const { devices, notice, camera } = desk(computer);
    await devices.open();
    computer.cameras = ["second"];
    camera()?.end();
    await settle();
    expect(camera()?.deviceId).to.equal("second");
    expect(notice("camera")).to.contain("first label").and.to.contain("second label");
  });

  it("notice an unplugged camera also where its track does not end", async () => {
    const computer = new FakeComputer("first", "second");
    const { devices, camera } = desk(computer);
    await devices.open();
    computer.cameras = ["second"];
    computer.dispatchEvent(new Event("devicechange"));
    await settle();
    expect(camera()?.deviceId).to.equal("second");
  });

  it("wait for the only camera, and take it when it is plugged in again", async () => {
    const computer = new FakeComputer("only");
    const { devices, store, notice, camera, changes } = desk(computer);
    await devices.open();
    computer.cameras = [];
    camera()?.end();
    await settle();
    expect(store.get().local).to.include({ camera: null, cameraOn: true, cameraInterrupted: true });
    expect(notice("camera")).to.contain("comes back by itself");
    computer.cameras = ["only"];
    changes.length = 0;
    computer.dispatchEvent(new Event("devicechange"));
    await settle();
    expect(camera()?.deviceId).to.equal("only");
    expect(store.get().local.cameraInterrupted).to.equal(false);
    expect(notice("camera")).to.equal("");
    expect(changes).to.include("camera");
  });

  it("come back when the person looks at the page again", async () => {
    const computer = new FakeComputer("cam");
    const { devices, store, camera, sight } = desk(computer);
    await devices.open();
    sight.visible = false;
    camera()?.end();
    await settle();
    expect(store.get().local).to.include({ camera: null, cameraInterrupted: true });
    sight.visible = true;
    sight.listener();
    await settle();
    expect(camera()?.readyState).to.equal("live");
  });

  it("stay off where the person turned them off while they were away", async () => {
    const computer = new FakeComputer("cam");
    const { devices, camera } = desk(computer);
    await devices.open();
    computer.cameras = [];
    camera()?.end();
    await settle();
    await devices.setOn("camera", false);
    computer.cameras = ["cam"];
    computer.dispatchEvent(new Event("devicechange"));
    await settle();
    expect(camera()).to.equal(null);
  });

  it("tell that a phone call took the camera, and when it is back", async () => {
    const { devices, store, camera, changes } = desk(new FakeComputer("cam"));
    await devices.open();
    changes.length = 0;
    camera()?.mute(true);
    await sleep(50);
    expect(store.get().local.cameraInterrupted, "after an instant").to.equal(false);
    await sleep(750);
    expect(store.get().local.cameraInterrupted).to.equal(true);
    camera()?.mute(false);
    expect(store.get().local.cameraInterrupted).to.equal(false);
    expect(changes).to.deep.equal(["camera", "camera"]);
  });

  it("change without ever being off, keep a mute, and remember the choice", async () => {
    const computer = new FakeComputer("first", "second");
    const { devices, store, kept, camera } = desk(computer);
    await devices.open();
    const seen: (string | null)[] = [];
    devices.onTrack = () => seen.push(camera()?.deviceId ?? null);
    await devices.choose("camera", "second");
    expect(seen).to.deep.equal(["second"]);
    expect(computer.tracks.find((each) => each.deviceId === "first")?.readyState).to.equal("ended");
    expect(kept.get("driftless.camera")).to.equal("second");
    await devices.setOn("microphone", false);
    await devices.choose("microphone", "mic");
    expect(store.get().local.microphone?.enabled).to.equal(false);
    expect(store.get().local.microphoneOn).to.equal(false);
  });
});
