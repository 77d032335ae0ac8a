import { io, type Socket } from "socket.io-client";
import type {
  Ack,
  ClientMessage,
  ClientMessageName,
  ClientReplies,
  ServerEventName,
  ServerEvents,
} from "../server/edges/socket/protocol.ts";

const REPLY_TIMEOUT_MS = 15_000;

export interface SignalingOptions {
  /** Comes back by itself after the connection was lost, as the page does. */
  reconnects?: boolean;
}

/** Acknowledged requests and events of one participant's socket. */
export class SignalingSession {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** @throws Error if the server does not accept the connection */
  static async open(
    url: string,
    token: string | undefined,
    options: SignalingOptions = {},
  ): Promise<SignalingSession> {
    const socket = io(url, {
      transports: ["websocket"],
      forceNew: true,
      reconnection: options.reconnects ?? false,
      reconnectionDelay: 250,
      reconnectionDelayMax: 1000,
      timeout: 3000,
      auth: token === undefined ? {} : { token },
    });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", (e) => reject(new Error(`${url}: ${e.message}`)));
    });
    return new SignalingSession(socket);
  }

  /** @throws Error with the server's code and message, or after 15 s without an answer */
  async request<N extends ClientMessageName>(
    name: N,
    message: ClientMessage<N>,
  ): Promise<ClientReplies[N]> {
    const reply: Ack<ClientReplies[N]> = await this.#socket
      .timeout(REPLY_TIMEOUT_MS)
      .emitWithAck(name, message);
    if (!reply.ok) throw new Error(`${name}: ${reply.error.code}: ${reply.error.message}`);
    return reply.data;
  }

  /** @returns takes the listener away again */
  on<N extends ServerEventName>(name: N, listener: (payload: ServerEvents[N]) => void): () => void {
    this.#socket.on(name as string, listener);
    return () => void this.#socket.off(name as string, listener);
  }

  /** Called after each lost connection that came back; `recovered`: the server kept the session. */
  onReconnect(listener: (recovered: boolean) => void): void {
    this.#socket.on("connect", () => listener(this.#socket.recovered));
  }

  get connected(): boolean {
    return this.#socket.connected;
  }

  close(): void {
    this.#socket.disconnect();
  }
}
