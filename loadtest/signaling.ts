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

/** Acknowledged requests and events of one participant's socket. */
export class SignalingSession {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** @throws Error if the server does not accept the connection */
  static async open(url: string, token: string | undefined): Promise<SignalingSession> {
    const socket = io(url, {
      transports: ["websocket"],
      forceNew: true,
      reconnection: false,
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

  on<N extends ServerEventName>(name: N, listener: (payload: ServerEvents[N]) => void): void {
    this.#socket.on(name as string, listener);
  }

  close(): void {
    this.#socket.disconnect();
  }
}
