import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { DeviceList, DeviceOption } from "../media/devices.ts";
import type { LocalDevices } from "../room/local-devices.ts";
import type { LocalMedia } from "../state.ts";

interface DeviceSelectProps {
  local: LocalMedia;
  devices: LocalDevices;
}

const NONE: DeviceList = { cameras: [], microphones: [] };

/** Which camera and which microphone. Follows what is plugged in. */
export function DeviceSelect({ local, devices }: DeviceSelectProps): JSX.Element {
  const [list, setList] = useState(NONE);
  useEffect(() => {
    const refresh = (): void => void devices.list().then(setList);
    refresh();
    navigator.mediaDevices?.addEventListener("devicechange", refresh);
    return () => navigator.mediaDevices?.removeEventListener("devicechange", refresh);
    // Labels come only after the first device was allowed: look again then.
  }, [local.camera, local.microphone]);

  return (
    <div class="device-selects">
      <label>
        Camera
        <select
          name="camera"
          disabled={list.cameras.length === 0}
          value={currentId(local.camera, local.cameraId, list.cameras)}
          onChange={(event) => void devices.choose("camera", event.currentTarget.value)}
        >
          {list.cameras.length === 0 && <option value="">{noneWords(local, "camera")}</option>}
          {list.cameras.map((camera) => (
            <option key={camera.id} value={camera.id}>
              {camera.label}
            </option>
          ))}
        </select>
      </label>
      <label>
        Microphone
        <select
          name="microphone"
          disabled={list.microphones.length === 0}
          value={currentId(local.microphone, local.microphoneId, list.microphones)}
          onChange={(event) => void devices.choose("microphone", event.currentTarget.value)}
        >
          {list.microphones.length === 0 && (
            <option value="">{noneWords(local, "microphone")}</option>
          )}
          {list.microphones.map((microphone) => (
            <option key={microphone.id} value={microphone.id}>
              {microphone.label}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}

/** Browsers name no device before the person allowed one. */
function noneWords({ asked }: LocalMedia, device: string): string {
  return asked ? `No ${device} found` : "Turn it on to choose";
}

/** The device in use, or the one that would be used. */
function currentId(
  track: MediaStreamTrack | null,
  chosen: string | null,
  options: readonly DeviceOption[],
): string {
  return track?.getSettings().deviceId ?? chosen ?? options[0]?.id ?? "";
}
