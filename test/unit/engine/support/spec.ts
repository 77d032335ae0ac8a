/** A session's options, made from what the SFU's end would ask for. */
import type { EngineTransform, OpenSession } from "../../../../server/engine/protocol.ts";
import type { SessionSpec } from "../../../../server/engine/remote-session.ts";
import type { SfuPeer } from "./sfu-peer.ts";

export function specOf(
  peer: SfuPeer,
  sessionId: string,
  transform: Partial<EngineTransform> = {},
): SessionSpec {
  const message: OpenSession = peer.openMessage(sessionId);
  const { type: _type, localIp: _ip, localPort: _port, revision: _revision, ...spec } = message;
  return { ...spec, transform: { ...spec.transform, ...transform } };
}
