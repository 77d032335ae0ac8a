/** An engine whose calls in a session's name are noted in the black box (see black-box.ts). */
import type { BlackBoxWriter } from "../black-box.ts";
import type { NativeEngine, NativeSession } from "./native.ts";

/** The same engine; its sessions' calls that hand something over are noted before they are made. */
export function noteCalls(engine: NativeEngine, box: BlackBoxWriter): NativeEngine {
  return {
    info: () => engine.info(),
    close: () => engine.close(),
    createSession(options, onFrame, onEvent) {
      const { id } = options;
      const session = box.during(id, () => engine.createSession(options, onFrame, onEvent));
      return noteSession(session, id, box);
    },
  };
}

function noteSession(session: NativeSession, id: string, box: BlackBoxWriter): NativeSession {
  return {
    pushFrame: (data, captureTimeMs) =>
      box.during(id, () => session.pushFrame(data, captureTimeMs)),
    setTransform: (transform) => box.during(id, () => session.setTransform(transform)),
    setBitrate: (bps) => session.setBitrate(bps),
    requestLowKeyFrame: () => session.requestLowKeyFrame(),
    requestKeyFrame: () => session.requestKeyFrame(),
    stats: () => session.stats(),
    close: () => session.close(),
  };
}
