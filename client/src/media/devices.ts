import type { Source } from "../protocol.ts";

/** What went wrong with a camera or microphone, with a sentence that says what to do. */
export class DeviceProblem extends Error {
  readonly device: Source;
  readonly reason: "denied" | "missing" | "busy" | "insecure" | "unknown";

  constructor(device: Source, reason: DeviceProblem["reason"], detail: string) {
    super(sentence(device, reason, detail));
    this.name = "DeviceProblem";
    this.device = device;
    this.reason = reason;
  }
}

/** What this needs of `navigator.mediaDevices`. */
export type DeviceAccess = Pick<MediaDevices, "getUserMedia" | "enumerateDevices">;

export interface DeviceOption {
  id: string;
  label: string;
}

export interface DeviceList {
  cameras: DeviceOption[];
  microphones: DeviceOption[];
}

export interface OpenedDevice {
  track: MediaStreamTrack;
  /** True: the device that was asked for is not there, this is another one. */
  substituted: boolean;
}

/**
 * The picture is repainted at a few hundred pixels and 16 frames a second: asking for more would
 * only cost upload and decoding. A phone that is held upright turns the two sides by itself. The
 * camera's own picture, whole: browsers cut an upright or 4:3 one to the wanted shape otherwise.
 * What is larger than wanted is made smaller by the encoder (encodings.ts).
 */
const CAMERA: MediaTrackConstraints & { resizeMode: string } = {
  resizeMode: "none",
  width: { ideal: 640 },
  height: { ideal: 360 },
  frameRate: { ideal: 24, max: 30 },
};

const MICROPHONE: MediaTrackConstraints = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
};

/**
 * Opens a device: the one with this id, and where there is none such any more another one; without
 * an id the browser's default. Throws DeviceProblem.
 * @param access navigator.mediaDevices, which browsers leave out on plain http pages
 */
export async function openDevice(
  access: DeviceAccess | undefined,
  source: Source,
  deviceId: string | null,
): Promise<OpenedDevice> {
  if (access === undefined) throw new DeviceProblem(source, "insecure", location.origin);
  if (deviceId === null) return { track: await open(access, source, null), substituted: false };
  try {
    return { track: await open(access, source, deviceId), substituted: false };
  } catch (error) {
    if (!(error instanceof DeviceProblem) || error.reason !== "missing") throw error;
    return { track: await open(access, source, null), substituted: true };
  }
}

/** Lists cameras and microphones. Labels are empty until one device has been allowed. */
export async function listDevices(access: DeviceAccess | undefined): Promise<DeviceList> {
  const devices = (await access?.enumerateDevices()) ?? [];
  const named = (kind: MediaDeviceKind, word: string): DeviceOption[] =>
    devices
      .filter((device) => device.kind === kind && device.deviceId !== "")
      .map((device, index) => ({
        id: device.deviceId,
        label: device.label === "" ? `${word} ${index + 1}` : device.label,
      }));
  return {
    cameras: named("videoinput", "Camera"),
    microphones: named("audioinput", "Microphone"),
  };
}

async function open(
  access: DeviceAccess,
  source: Source,
  deviceId: string | null,
): Promise<MediaStreamTrack> {
  const common = source === "camera" ? CAMERA : MICROPHONE;
  const wanted = deviceId === null ? common : { ...common, deviceId: { exact: deviceId } };
  try {
    const stream = await access.getUserMedia(
      source === "camera" ? { video: wanted } : { audio: wanted },
    );
    const track = stream.getTracks()[0];
    if (track === undefined) throw new DeviceProblem(source, "missing", "no track came back");
    return track;
  } catch (error) {
    if (error instanceof DeviceProblem) throw error;
    // OverconstrainedError is no DOMException everywhere: only the name is the same.
    const name = error instanceof Error ? error.name : "";
    throw new DeviceProblem(source, reasonOf(name), String(error));
  }
}

function reasonOf(errorName: string): DeviceProblem["reason"] {
  switch (errorName) {
    case "NotAllowedError":
    case "SecurityError":
      return "denied";
    case "NotFoundError":
    case "OverconstrainedError":
      return "missing";
    case "NotReadableError":
    case "AbortError":
      return "busy";
    default:
      return "unknown";
  }
}

function sentence(device: Source, reason: DeviceProblem["reason"], detail: string): string {
  switch (reason) {
    case "denied":
      return `The browser was not allowed to use the ${device}. Click the ${device} symbol beside the address, allow it for this page, then try again.`;
    case "missing":
      return `No ${device} was found. Plug one in or choose another, or join without it.`;
    case "busy":
      return `The ${device} is in use by another program. Close that program, then try again.`;
    case "insecure":
      return `Browsers open a ${device} only on https:// pages or on localhost, and this page came from ${detail}. Open it over https.`;
    case "unknown":
      return `The ${device} could not be opened (${detail}). Choose another or join without it.`;
  }
}
