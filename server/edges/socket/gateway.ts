/** socket.io: connections become sessions, room events become messages to them. */
import type { Server as HttpServer } from "node:http";
import { type Socket, Server as SocketServer } from "socket.io";
import type { Config } from "../../config/schema.ts";
import type { Participant } from "../../domain/participant.ts";
import type { Room } from "../../domain/room.ts";
import { DriftlessError, toErrorBody } from "../../errors.ts";
import { ConnectionLimits, guardHandshakes } from "../../security/connections.ts";
import { writtenOrigins } from "../../security/origin.ts";
import { RateLimit } from "../../security/rate-limit.ts";
import type { RequestGuard } from "../../security/request-guard.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { createHandlers, type HandlerDeps } from "./handlers.ts";
import type { ServerEventName, ServerEvents } from "./protocol.ts";
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

export class SignalingGateway {
  readonly #io: SocketServer;
  readonly #deps: GatewayDeps;
  readonly #handlers: Handlers;
  readonly #messageRate: RateLimit;
  /** By socket id, which survives a recovered connection. */
  readonly #sessions = new Map<string, ClientSession>();
  readonly #byParticipant = new Map<string, ClientSession>();
  readonly #graces = new Map<string, NodeJS.Timeout>();

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
      connectionStateRecovery: {
        maxDisconnectionDuration: limits.reconnectGraceSeconds * 1000,
        skipMiddlewares: true,
      },
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
    this.#followRooms();
  }

  /** Tells everybody that the server goes away and closes all connections. */
  async close(): Promise<void> {
    this.#io.emit("server:closing", {});
    for (const timer of this.#graces.values()) clearTimeout(timer);
    this.#graces.clear();
    // Lets the goodbye reach the sockets before they are cut.
    await new Promise((resolve) => setTimeout(resolve, 100));
    this.#io.disconnectSockets(true);
    await this.#io.close();
  }

  async #authorize(socket: Socket): Promise<void> {
    const { access, guard } = this.#deps;
    guard.checkOrigin(socket.request);
    if (access.openMode) return;
    // Only whether it is one of ours: the room is checked on joining.
    await access.verify(tokenOf(socket));
  }

  #onConnection(socket: Socket): void {
    const session = this.#resume(socket) ?? this.#open(socket);
    this.#deps.metrics.connections.inc();
    socket.onAny((name: string, ...args: unknown[]) => {
      void session.receive(name, args);
    });
    socket.on("disconnect", (reason) => this.#onDisconnect(session, reason));
  }

  #open(socket: Socket): ClientSession {
    const { config, logger, metrics } = this.#deps;
    const session = new ClientSession(socket.id, tokenOf(socket), {
      handlers: this.#handlers,
      limits: config.limits,
      messageRate: this.#messageRate,
      logger: logger.child({ session: socket.id }),
      metrics,
      send: (event, payload) => this.#io.to(socket.id).emit(event, payload),
    });
    this.#sessions.set(session.id, session);
    if (socket.recovered) {
      // The connection came back, but its place in the room is gone.
      session.send("room:rebuilt", { roomId: "", reason: "the connection was away for too long" });
    }
    return session;
  }

  /** A recovered connection goes on with its session, and its place in the room. */
  #resume(socket: Socket): ClientSession | undefined {
    const session = socket.recovered ? this.#sessions.get(socket.id) : undefined;
    if (session === undefined) return undefined;
    clearTimeout(this.#graces.get(session.id));
    this.#graces.delete(session.id);
    if (session.member !== undefined) session.member.participant.connected = true;
    return session;
  }

  #onDisconnect(session: ClientSession, reason: string): void {
    this.#deps.metrics.connections.dec();
    if (FINAL_REASONS.has(reason)) {
      this.#end(session, "left");
      return;
    }
    if (session.member !== undefined) session.member.participant.connected = false;
    const timer = setTimeout(
      () => this.#end(session, "lost the connection"),
      this.#deps.config.limits.reconnectGraceSeconds * 1000,
    );
    timer.unref();
    this.#graces.set(session.id, timer);
  }

  #end(session: ClientSession, reason: string): void {
    this.#graces.delete(session.id);
    this.#sessions.delete(session.id);
    const { member } = session;
    if (member === undefined) return;
    this.#bind(session, undefined);
    member.room.leave(member.participant.id, reason);
  }

  #bind(session: ClientSession, member: { room: Room; participant: Participant } | undefined) {
    if (session.member !== undefined) this.#byParticipant.delete(session.member.participant.id);
    session.member = member;
    if (member === undefined) return;
    this.#byParticipant.set(member.participant.id, session);
    // The connection may have ended while the room was made.
    if (!this.#sessions.has(session.id)) this.#end(session, "left");
  }

  #followRooms(): void {
    const { rooms } = this.#deps;
    rooms.on("roomCreated", (room) => this.#followRoom(room));
    rooms.on("roomClosed", (_roomId, members, reason) => {
      for (const { id: participantId } of members) {
        this.#dismiss(participantId, "participant:left", { participantId, reason });
      }
    });
    rooms.on("roomRebuilt", (roomId, members, reason) => {
      for (const { id } of members) this.#dismiss(id, "room:rebuilt", { roomId, reason });
    });
  }

  #followRoom(room: Room): void {
    const all = <N extends ServerEventName>(
      event: N,
      payload: ServerEvents[N],
      except?: string,
    ) => {
      for (const { id } of room.participants) if (id !== except) this.#send(id, event, payload);
    };
    room.on("participantJoined", (p) => all("participant:joined", p.info, p.id));
    room.on("participantUpdated", (p) => all("participant:updated", p.info));
    room.on("participantLeft", ({ id: participantId }, reason) => {
      all("participant:left", { participantId, reason });
      // Who was removed by somebody else is told too.
      this.#dismiss(participantId, "participant:left", { participantId, reason });
    });
    room.on("consumerOpened", (viewer, consumer) =>
      this.#send(viewer.id, "consumer:new", consumer),
    );
    room.on("consumerClosed", ({ id }, consumerId) =>
      this.#send(id, "consumer:closed", { consumerId }),
    );
    room.on("consumerPaused", ({ id }, consumerId) =>
      this.#send(id, "consumer:paused", { consumerId }),
    );
    room.on("consumerResumed", ({ id }, consumerId) =>
      this.#send(id, "consumer:resumed", { consumerId }),
    );
    room.on("transformState", (transform) => all("transform:state", transform));
    room.on("transformApplied", (applied) => all("transform:applied", applied));
  }

  #send<N extends ServerEventName>(participantId: string, event: N, payload: ServerEvents[N]) {
    this.#byParticipant.get(participantId)?.send(event, payload);
  }

  /** Ends a membership that the client did not end itself, with a last message. */
  #dismiss<N extends ServerEventName>(participantId: string, event: N, payload: ServerEvents[N]) {
    const session = this.#byParticipant.get(participantId);
    if (session === undefined) return;
    this.#bind(session, undefined);
    session.send(event, payload);
  }
}

function tokenOf(socket: Socket): string | undefined {
  const token: unknown = socket.handshake.auth.token;
  return typeof token === "string" ? token : undefined;
}

/** socket.io hands `data` to the client's connect_error. */
function connectError(error: unknown): Error {
  const body = toErrorBody(error);
  const refused = new Error(body.message) as Error & { data: unknown };
  refused.data = body;
  if (!(error instanceof DriftlessError)) refused.cause = error;
  return refused;
}
