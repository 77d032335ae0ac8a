/** An engine that only answers as it is told: for tests of who talks to engines. */
import {
  type EngineEnd,
  type EngineLinkListener,
  NO_TRACE,
  type OpenEngineLink,
} from "../../../../server/engine/link/engine-link.ts";
import type { EngineMessage, ServerMessage } from "../../../../server/engine/protocol.ts";

type SessionMessage = Extract<ServerMessage, { sessionId: string }>;
type Answer = (message: SessionMessage) => EngineMessage | null;

export const FAKE_IP = "127.0.0.2";

export class FakeEngine {
  /** What it was sent about sessions, all lives together. */
  readonly heard: SessionMessage[] = [];
  /** What it answers; by default it takes everything. */
  answer: Answer = accepts;
  memory = { limitBytes: 0, modelBytes: 1000, sessionBytes: 100 };
  lives = 0;
  #listener: EngineLinkListener | null = null;

  readonly openLink: OpenEngineLink = (listener) => {
    this.lives += 1;
    this.#listener = listener;
    return {
      name: "a fake engine",
      pid: undefined,
      engineIp: FAKE_IP,
      send: (message) => this.#hear(message, listener),
      shutdown: async () => this.crash({ cause: "killed" }),
      kill: () => this.crash({ cause: "killed" }),
    };
  };

  /** The messages of one type that it was sent. */
  all<T extends SessionMessage["type"]>(type: T): Extract<SessionMessage, { type: T }>[] {
    return this.heard.filter((message) => message.type === type) as never;
  }

  say(message: EngineMessage): void {
    this.#listener?.onMessage(message);
  }

  crash(end: Partial<EngineEnd> = {}): void {
    const listener = this.#listener;
    this.#listener = null;
    listener?.onEnd({ reason: "it got SIGSEGV", cause: "signal", trace: NO_TRACE, ...end });
  }

  #hear(message: ServerMessage, listener: EngineLinkListener): void {
    // An answer comes later, and from this life only.
    const say = (answer: EngineMessage | null) =>
      setImmediate(() => {
        if (answer !== null && this.#listener === listener) {
          listener.onMessage(answer);
        }
      });
    if (message.type === "start") {
      say({ type: "ready", info: this.#info() });
    } else if (message.type !== "shutdown") {
      this.heard.push(message);
      say(this.answer(message));
    }
  }

  #info() {
    return {
      ...{
        model: "fake",
        width: 256,
        height: 144,
        fps: 16,
        framesPerChunk: 4,
        backend: "cpu",
        sizes: [],
      },
      ...{ background: true, h264Encoder: "libx264", videoDecoder: "software" },
      memory: this.memory,
    };
  }
}

export function accepts(message: SessionMessage): EngineMessage | null {
  const { sessionId } = message;
  switch (message.type) {
    case "openSession":
      return { type: "sessionOpened", sessionId, localPort: message.localPort || 5000 };
    case "setTransform":
      return { type: "transformAccepted", sessionId, revision: message.revision };
    default:
      return null;
  }
}
