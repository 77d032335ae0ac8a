/** One signalling connection: checks each message, hands it on, answers it. */
import type { z } from "zod";
import type { LimitsConfig } from "../../config/schema.ts";
import type { Endpoint, Membership } from "../../domain/memberships.ts";
import { DriftlessError, describeIssues, toErrorBody } from "../../errors.ts";
import type { RateLimit } from "../../security/rate-limit.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import {
  type ClientMessageName,
  type ClientReplies,
  clientMessageSchemas,
  type ParsedMessage,
  type ServerEventName,
  type ServerEvents,
} from "./protocol.ts";

/** Handles one validated message and returns the data of its acknowledgement. */
export type Handlers = {
  [N in ClientMessageName]: (
    session: ClientSession,
    message: ParsedMessage<N>,
  ) => Promise<ClientReplies[N]> | ClientReplies[N];
};

/**
 * Messages that may wait for the engine. They skip the session's queue, so that
 * the media messages behind them are not held up.
 */
const UNQUEUED: ReadonlySet<string> = new Set(["transform:set", "transform:get", "privacy:set"]);

/**
 * Answers to what the server announced: as many as it announced, however many those are at once. A
 * limit on them would silence tracks for good; one that answers nothing counts as a message.
 */
const ANSWERS: ReadonlySet<string> = new Set(["consumer:ready", "consumers:ready"]);

export interface SessionDeps {
  handlers: Handlers;
  limits: LimitsConfig;
  messageRate: RateLimit;
  logger: Logger;
  metrics: Metrics;
  send<N extends ServerEventName>(event: N, payload: ServerEvents[N]): void;
  /** Another connection has taken the place of this one. */
  onReplaced(session: ClientSession): void;
}

export interface Connection {
  id: string;
  /** Network address. */
  address: string;
  token: string | undefined;
}

export class ClientSession implements Endpoint {
  readonly id: string;
  readonly address: string;
  readonly token: string | undefined;
  /** Set between join and leave. */
  member: Membership | undefined;
  /** The room's media was lost: the next join takes the same place again. */
  mustRejoin = false;
  /** Unix time at which the token ends; undefined without one. */
  tokenExpiresAtMs: number | undefined;
  readonly #deps: SessionDeps;
  #pending = 0;
  #queue: Promise<unknown> = Promise.resolve();
  #open = true;

  constructor({ id, address, token }: Connection, deps: SessionDeps) {
    this.id = id;
    this.address = address;
    this.token = token;
    this.#deps = deps;
  }

  /** False once the connection has ended. */
  get open(): boolean {
    return this.#open;
  }

  close(): void {
    this.#open = false;
  }

  onReplaced(): void {
    this.#deps.onReplaced(this);
  }

  send<N extends ServerEventName>(event: N, payload: ServerEvents[N]): void {
    this.#deps.send(event, payload);
  }

  /** @throws DriftlessError NOT_JOINED. */
  requireMember(): Membership {
    if (this.member === undefined) {
      throw new DriftlessError("NOT_JOINED", "Join a room first.");
    }
    return this.member;
  }

  /**
   * Takes a raw message as it came from the wire and always answers it, when the
   * client left a way to answer.
   */
  async receive(name: string, args: unknown[]): Promise<void> {
    const { metrics, logger } = this.#deps;
    const acknowledge = args.at(-1);
    if (typeof acknowledge !== "function") {
      metrics.signallingErrors.inc({ code: "INVALID_MESSAGE" });
      logger.debug({ name: name.slice(0, 64) }, "message without acknowledgement ignored");
      return;
    }
    try {
      const data = await this.#accept(name, args.slice(0, -1));
      acknowledge({ ok: true, data });
    } catch (err) {
      const error = toErrorBody(err);
      metrics.signallingErrors.inc({ code: error.code });
      if (error.code === "INTERNAL") logger.error({ err, name }, "message failed");
      acknowledge({ ok: false, error });
    }
  }

  async #accept(name: string, args: unknown[]): Promise<unknown> {
    if (ANSWERS.has(name)) return this.#acceptAnswer(name as ClientMessageName, args);
    if (this.#pending >= this.#deps.limits.maxPendingMessages) {
      throw new DriftlessError(
        "TOO_MANY_PENDING",
        `Expected at most ${this.#deps.limits.maxPendingMessages} unanswered messages.`,
      );
    }
    this.#pending++;
    try {
      await this.#deps.messageRate.take(this.id);
      const known = knownMessage(name);
      const message = parse(known, args, this.#deps.limits.maxMessageBytes);
      this.#deps.metrics.messages.inc({ message: known });
      return await this.#enqueue(known, message);
    } finally {
      this.#pending--;
    }
  }

  async #acceptAnswer(name: ClientMessageName, args: unknown[]): Promise<unknown> {
    try {
      const message = parse(name, args, this.#deps.limits.maxMessageBytes);
      this.#deps.metrics.messages.inc({ message: name });
      return await this.#deps.handlers[name](this, message as never);
    } catch (error) {
      await this.#deps.messageRate.take(this.id);
      throw error;
    }
  }

  /** One message after the other, in the order of arrival. */
  #enqueue<N extends ClientMessageName>(name: N, message: ParsedMessage<N>): Promise<unknown> {
    const handle = async () => this.#deps.handlers[name](this, message);
    if (UNQUEUED.has(name)) return handle();
    const result = this.#queue.then(handle);
    // A failed message must not fail the ones behind it; its sender gets the error.
    this.#queue = result.catch(() => undefined);
    return result;
  }
}

function knownMessage(name: string): ClientMessageName {
  if (Object.hasOwn(clientMessageSchemas, name)) return name as ClientMessageName;
  throw new DriftlessError("INVALID_MESSAGE", `There is no message "${name.slice(0, 64)}".`);
}

function parse<N extends ClientMessageName>(
  name: N,
  args: unknown[],
  maxBytes: number,
): ParsedMessage<N> {
  if (args.length !== 1) {
    throw new DriftlessError(
      "INVALID_MESSAGE",
      `Expected one object and an acknowledgement, got ${args.length} values.`,
    );
  }
  const bytes = Buffer.byteLength(JSON.stringify(args[0]) ?? "");
  if (bytes > maxBytes) {
    throw new DriftlessError(
      "MESSAGE_TOO_LARGE",
      `Expected a message of at most ${maxBytes} bytes, got ${bytes}.`,
    );
  }
  const schema: z.ZodType = clientMessageSchemas[name];
  const result = schema.safeParse(args[0]);
  if (!result.success) {
    throw new DriftlessError("INVALID_MESSAGE", describeIssues(result.error));
  }
  return result.data as ParsedMessage<N>;
}
