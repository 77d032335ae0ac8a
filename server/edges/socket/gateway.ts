/** socket.io: connections become sessions, which are the endpoints of memberships. */
import type { Server as HttpServer } from "node:http";
import { type Socket, Server as SocketServer } from "socket.io";
import type { Config } from "../../config/schema.ts";
import type { Membership } from "../../domain/memberships.ts";
import type { Participant } from "../../domain/participant.ts";
import type { Room } from "../../domain/room.ts";
import { DriftlessError, toErrorBody } from "../../errors.ts";
import { ConnectionLimits, guardHandshakes } from "../../security/connections.ts";
import { writtenOrigins } from "../../security/origin.ts";
import { RateLimit } from "../../security/rate-limit.ts";
import type { RequestGuard } from "../../security/request-guard.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { HandlerDeps } from "./handler-deps.ts";
import { createHandlers } from "./handlers.ts";
import type { ServerEventName, ServerEvents } from "./protocol.ts";
import { type Audience, followRooms } from "./room-events.ts";
import { ClientSession, type Handlers } from "./session.ts";

export interface GatewayDeps extends Omit<HandlerDeps, "bind" | "config"> {
  config: Config;
  guard: RequestGuard;
  logger: Logger;
}

/** Left on purpose: the place is given up at once instead of after the grace time. */
const FINAL_REASONS: ReadonlySet<string> = new Set([
  "client namespace disconnect",
  "server namespace disconnect",
]);

/** Above the message limit, so that a message somewhat too large still gets an answer. */
const HARD_LIMIT_FACTOR = 4;

export class SignalingGateway implements Audience {
  readonly #io: SocketServer;
  readonly #deps: GatewayDeps;
  readonly #handlers: Handlers;
  readonly #messageRate: RateLimit;
  readonly #byParticipant = new Map<string, ClientSession>();

  constructor(httpServer: HttpServer, deps: GatewayDeps) {
    this.#deps = deps;
    const { limits, http } = deps.config;
    this.#messageRate = new RateLimit("messages", limits.messagesPerSecond, 1);
    this.#handlers = createHandlers({
      ...deps,
      bind: (session, member) => this.#bind(session, member),
    });
    this.#io = new SocketServer(httpServer, {
      maxHttpBufferSize: limits.maxMessageBytes * HARD_LIMIT_FACTOR,
      // For long polling from the pages of other sites that may connect.
      cors: { origin: writtenOrigins(http.allowedOrigins) },
      // A place in a room is kept by its membership, however long the room was quiet; what a
      // connection missed is told anew when it comes back.
      pingInterval: 5000,
      pingTimeout: 8000,
      serveClient: false,
    });
    guardHandshakes(httpServer, this.#io.engine, {
      path: this.#io.path(),
      guard: deps.guard,
      limits: new ConnectionLimits(limits),
      onRefused: (code) => deps.metrics.signallingErrors.inc({ code }),
    });
    this.#io.use((socket, next) => {
      this.#authorize(socket).then(
        () => next(),
        (error: unknown) => next(connectError(error)),
      );
    });
    this.#io.on("connection", (socket) => this.#onConnection(socket));
    followRooms(deps.rooms, deps.media, this);
  }

  /** Tells everybody that nobody is taken in any more, and when the end comes. */
  drain(secondsLeft: number): void {
    this.#io.emit("server:draining", { secondsLeft });
  }

  /** Tells everybody that the server goes away and closes all connections. */
  async close(): Promise<void> {
    this.#io.emit("server:closing", {});
    // Lets the goodbye reach the sockets before they are cut.
    await new Promise((resolve) => setTimeout(resolve, 100));
    this.#io.disconnectSockets(true);
    await this.#io.close();
  }

  toRoom<N extends ServerEventName>(
    room: Room,
    event: N,
    payload: ServerEvents[N],
    except?: string,
  ): void {
    const session = except === undefined ? undefined : this.#byParticipant.get(except);
    // One packet for all of them, encoded once.
    const to = this.#io.to(channelOf(room));
    (session === undefined ? to : to.except(session.id)).emit(event, payload);
  }

  toParticipant<N extends ServerEventName>(id: string, event: N, payload: ServerEvents[N]): void {
    this.#byParticipant.get(id)?.send(event, payload);
  }

  toParticipantNow<N extends ServerEventName>(
    id: string,
    event: N,
    payload: ServerEvents[N],
  ): void {
    const session = this.#byParticipant.get(id);
    if (session !== undefined) this.#io.to(session.id).volatile.emit(event, payload);
  }

  dismiss({ id: participantId }: Participant, reason: string): void {
    const session = this.#byParticipant.get(participantId);
    if (session === undefined) return;
    this.#bind(session, undefined);
    session.send("participant:left", { participantId, reason });
  }

  mediaLost({ id }: Participant, room: Room, reason: string): void {
    const session = this.#byParticipant.get(id);
    if (session === undefined) return;
    session.mustRejoin = true;
    session.send("room:rebuilt", { roomId: room.id, reason });
  }

  async #authorize(socket: Socket): Promise<void> {
    const { access, guard, memberships } = this.#deps;
    guard.checkOrigin(socket.request);
    if (access.openMode) return;
    // Who is in stays in: the secret of a stay counts, whatever became of the token.
    const secret = authOf(socket, "resume");
    if (secret !== undefined && memberships.knows(secret)) return;
    // Only whether it is one of ours: the room is checked on joining.
    await access.verify(authOf(socket, "token"));
  }

  #onConnection(socket: Socket): void {
    const { config, guard, logger, metrics } = this.#deps;
    const connection = {
      id: socket.id,
      address: guard.limitKey(socket.request),
      token: authOf(socket, "token"),
    };
    const session = new ClientSession(connection, {
      handlers: this.#handlers,
      limits: config.limits,
      messageRate: this.#messageRate,
      logger: logger.child({ session: socket.id }),
      metrics,
      send: (event, payload) => socket.emit(event, payload),
      onReplaced: (replaced) => {
        this.#unbind(replaced);
        socket.disconnect(true);
      },
    });
    metrics.connections.inc();
    socket.onAny((name: string, ...args: unknown[]) => {
      void session.receive(name, args);
    });
    socket.on("disconnect", (reason) => {
      metrics.connections.dec();
      session.close();
      const { member } = session;
      this.#unbind(session);
      if (member !== undefined) {
        const final = FINAL_REASONS.has(reason);
        this.#deps.memberships.detach(member.participant.id, session, final);
      }
    });
  }

  #bind(session: ClientSession, member: Membership | undefined): void {
    if (session.member === member) return;
    this.#unbind(session);
    if (member === undefined) return;
    if (!session.open) {
      // The connection ended while it came in.
      this.#deps.memberships.detach(member.participant.id, session, false);
      return;
    }
    session.member = member;
    this.#byParticipant.set(member.participant.id, session);
    this.#io.sockets.sockets.get(session.id)?.join(channelOf(member.room));
  }

  #unbind(session: ClientSession): void {
    const { member } = session;
    if (member === undefined) return;
    session.member = undefined;
    const { id } = member.participant;
    if (this.#byParticipant.get(id) === session) this.#byParticipant.delete(id);
    this.#io.sockets.sockets.get(session.id)?.leave(channelOf(member.room));
  }
}

/** socket.io's room of all connections that are in ours. */
function channelOf(room: Room): string {
  return `room ${room.id}`;
}

function authOf(socket: Socket, key: "token" | "resume"): string | undefined {
  const value: unknown = socket.handshake.auth[key];
  return typeof value === "string" ? value : undefined;
}

/** socket.io hands `data` to the client's connect_error. */
function connectError(error: unknown): Error {
  const body = toErrorBody(error);
  const refused = new Error(body.message) as Error & { data: unknown };
  refused.data = body;
  if (!(error instanceof DriftlessError)) refused.cause = error;
  return refused;
}
