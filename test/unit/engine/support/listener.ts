/** A listener that writes down what it hears, in short words. */
import type { SessionProgress } from "../../../../server/engine/protocol.ts";
import type { RemoteSessionListener } from "../../../../server/engine/remote-session.ts";

export function createListener() {
  const heard: string[] = [];
  let progress: SessionProgress | null = null;
  const listener: RemoteSessionListener = {
    onState: ({ state }) => heard.push(state),
    onFirstFrame: () => heard.push("firstFrame"),
    onApplied: (revision, _captureTimeMs, complete) =>
      heard.push(`${complete ? "applied" : "applying"} ${revision}`),
    onRefused: (revision) => heard.push(`refused ${revision}`),
    onLevel: ({ level }) => heard.push(level),
    onProgress: (message) => {
      progress = message;
    },
    onSuspended: () => heard.push("suspended"),
    onResumed: () => heard.push("resumed"),
    onLost: (_reason, code) => heard.push(`lost ${code}`),
  };
  return { heard, listener, latest: () => progress };
}
