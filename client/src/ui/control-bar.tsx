import type { JSX } from "preact";
import type { LocalDevices } from "../room/local-devices.ts";
import type { LocalMedia } from "../state.ts";
import { Icon } from "./icons.tsx";

interface ControlBarProps {
  local: LocalMedia;
  mayPublish: boolean;
  devices: LocalDevices;
  panel: boolean;
  onPanel(): void;
  onLeave(): void;
}

/** Mute, camera, look panel, leave. */
export function ControlBar(props: ControlBarProps): JSX.Element {
  const { local, mayPublish, devices, panel, onPanel, onLeave } = props;
  return (
    <nav class="controls" aria-label="Call">
      {mayPublish && (
        <>
          <button
            type="button"
            class="round"
            data-control="microphone"
            aria-pressed={local.microphoneOn}
            aria-label={local.microphoneOn ? "Mute" : "Unmute"}
            data-interrupted={local.microphoneOn && local.microphoneInterrupted}
            onClick={() => void devices.setOn("microphone", !local.microphoneOn)}
          >
            <Icon name="microphone" off={!local.microphoneOn} />
          </button>
          <button
            type="button"
            class="round"
            data-control="camera"
            aria-pressed={local.cameraOn}
            aria-label={local.cameraOn ? "Turn the camera off" : "Turn the camera on"}
            data-interrupted={local.cameraOn && local.cameraInterrupted}
            onClick={() => void devices.setOn("camera", !local.cameraOn)}
          >
            <Icon name="camera" off={!local.cameraOn} />
          </button>
          <button
            type="button"
            class="round"
            data-control="panel"
            aria-pressed={panel}
            aria-label={panel ? "Hide the look panel" : "Show the look panel"}
            onClick={onPanel}
          >
            <Icon name="brush" />
          </button>
        </>
      )}
      <button type="button" class="round leave" data-control="leave" onClick={onLeave}>
        <Icon name="leave" />
        <span>Leave</span>
      </button>
    </nav>
  );
}
