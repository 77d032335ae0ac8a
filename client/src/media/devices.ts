/** What went wrong with a camera or microphone, with a sentence that says what to do. */
export class DeviceProblem extends Error {
  readonly device: "camera" | "microphone";
  readonly reason: "denied" | "missing" | "busy" | "insecure" | "unknown";

  constructor(device: DeviceProblem["device"], reason: DeviceProblem["reason"], detail: string) {
    super(sentence(device, reason, detail));
    this.name = "DeviceProblem";
    this.device = device;
    this.reason = reason;
  }
}

export interface DeviceOption {
  id: string;
  label: string;
}

export interface DeviceList {
  cameras: DeviceOption[];
  microphones: DeviceOption[];
}

/**
 * The picture is repainted at a few hundred pixels and 16 frames a second: asking for more would
 * only cost upload and decoding.
 */
const CAMERA: MediaTrackConstraints = {
  width: { ideal: 640 },
  height: { ideal: 360 },
  frameRate: { ideal: 24, max: 30 },
};

const MICROPHONE: MediaTrackConstraints = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
};

/** Opens a camera, the browser's default without `deviceId`. Throws DeviceProblem. */
export async function openCamera(deviceId: string | null): Promise<MediaStreamTrack> {
  const video = deviceId === null ? CAMERA : { ...CAMERA, deviceId: { exact: deviceId } };
  return open("camera", { video });
}

/** Opens a microphone, the browser's default without `deviceId`. Throws DeviceProblem. */
export async function openMicrophone(deviceId: string | null): Promise<MediaStreamTrack> {
  const audio = deviceId === null ? MICROPHONE : { ...MICROPHONE, deviceId: { exact: deviceId } };
  return open("microphone", { audio });
}

/** Lists cameras and microphones. Labels are empty until one device has been allowed. */
export async function listDevices(): Promise<DeviceList> {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
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
  device: DeviceProblem["device"],
  constraints: MediaStreamConstraints,
): Promise<MediaStreamTrack> {
  // Browsers hide mediaDevices on plain http pages of other hosts.
  if (navigator.mediaDevices === undefined) {
    throw new DeviceProblem(device, "insecure", location.origin);
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia(constraints);
    const track = stream.getTracks()[0];
    if (track === undefined) throw new DeviceProblem(device, "missing", "no track came back");
    return track;
  } catch (error) {
    if (error instanceof DeviceProblem) throw error;
    const name = error instanceof DOMException ? error.name : "";
    throw new DeviceProblem(device, reasonOf(name), String(error));
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

function sentence(
  device: DeviceProblem["device"],
  reason: DeviceProblem["reason"],
  detail: string,
): string {
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
