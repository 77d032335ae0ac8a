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

/** What lets a connection in: a token, the secret of a stay, or in open mode neither. */
export interface Credentials {
  token?: string;
  resume?: string;
}

/** Called when the connection opens, drops, or opens again. */
export interface ConnectionListener {
  opened(): void;
  /** `willRetry` is false when the server closed the connection on purpose. */
  dropped(willRetry: boolean): void;
  /** A connection was refused or could not be made. `willRetry`: the next try comes by itself. */
  failed(error: Error, willRetry: boolean): void;
}

/** Typed, acknowledged messages over one socket.io connection. */
export class SignalingClient {
  // Typed by the methods below: socket.io's own event maps cannot follow a generic name.
  readonly #socket: Socket;

  /** @param credentials asked for at each connection, so that a new one carries the newest */
  constructor(credentials: () => Credentials, listener: ConnectionListener) {
    this.#socket = io({
      path: "/socket.io",
      auth: (give) => give(credentials()),
      // Long polling first would double the time to join on every sensible network.
      transports: ["websocket", "polling"],
      reconnectionDelay: 300,
      reconnectionDelayMax: 3_000,
      // A new connection for each join: a shared one would keep an old token.
      forceNew: true,
    });
    this.#socket.on("connect", () => listener.opened());
    this.#socket.on("disconnect", (reason) => {
      if (reason !== "io client disconnect") listener.dropped(this.#socket.active);
    });
    this.#socket.on("connect_error", (error) => listener.failed(error, this.#socket.active));
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
    // socket.io would keep it and send it before the join of the next connection.
    if (!this.connected) throw new ServerRefusal("UNREACHABLE", `No connection for ${name}.`);
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
