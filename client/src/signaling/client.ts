import { io, type Socket } from "socket.io-client";
import type {
  Ack,
  ClientMessage,
  ClientMessageName,
  ClientReplies,
  ServerEventName,
  ServerEvents,
} from "../protocol.ts";
import { ServerRefusal } from "./errors.ts";

/** How long the server may take to answer a message before we tell the person. */
const ANSWER_TIMEOUT_MS = 10_000;

/** Called when the connection opens, drops, or opens again. */
export interface ConnectionListener {
  /** `recovered`: the server kept our session through the gap, so nothing needs to be redone. */
  opened(recovered: boolean): void;
  /** `willRetry` is false when the server closed the connection on purpose. */
  dropped(willRetry: boolean): void;
  /** The first connection was refused or could not be made; socket.io keeps trying on its own. */
  failed(error: Error): void;
}

/** Typed, acknowledged messages over one socket.io connection. */
export class SignalingClient {
  // Typed by the methods below: socket.io's own event maps cannot follow a generic name.
  readonly #socket: Socket;

  constructor(token: string | null, listener: ConnectionListener) {
    this.#socket = io({
      path: "/socket.io",
      auth: token === null ? {} : { token },
      // Long polling first would double the time to join on every sensible network.
      transports: ["websocket", "polling"],
      reconnectionDelay: 300,
      reconnectionDelayMax: 3_000,
      // A new connection for each join: a shared one would keep an old token.
      forceNew: true,
    });
    this.#socket.on("connect", () => listener.opened(this.#socket.recovered));
    this.#socket.on("disconnect", (reason) => {
      const willRetry = reason !== "io client disconnect" && this.#socket.active;
      if (reason !== "io client disconnect") listener.dropped(willRetry);
    });
    this.#socket.on("connect_error", (error) => listener.failed(error));
  }

  get connected(): boolean {
    return this.#socket.connected;
  }

  /**
   * Sends a message and waits for its answer.
   * Throws ServerRefusal with the server's code, or with code UNREACHABLE when no answer comes.
   */
  async request<N extends ClientMessageName>(
    name: N,
    message: ClientMessage<N>,
  ): Promise<ClientReplies[N]> {
    let answer: Ack<ClientReplies[N]>;
    try {
      answer = await this.#socket.timeout(ANSWER_TIMEOUT_MS).emitWithAck(name, message);
    } catch (error) {
      throw new ServerRefusal("UNREACHABLE", `No answer to ${name}: ${String(error)}`);
    }
    if (!answer.ok) throw new ServerRefusal(answer.error.code, answer.error.message);
    return answer.data;
  }

  /** Listens to a server event until `close`. */
  on<N extends ServerEventName>(name: N, listener: (payload: ServerEvents[N]) => void): void {
    this.#socket.on<string>(name, listener);
  }

  /** Connects again at once, after the server had closed the connection on purpose. */
  reconnect(): void {
    this.#socket.connect();
  }

  close(): void {
    this.#socket.removeAllListeners();
    this.#socket.disconnect();
  }
}
