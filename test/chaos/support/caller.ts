/**
 * Somebody in a call, without a browser: publishes or watches over real ICE, DTLS and SRTP, and puts
 * itself back together as the page does when the room was rebuilt or the connection was lost.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { LoadClip } from "../../../loadtest/clip.ts";
import { Publisher } from "../../../loadtest/publisher.ts";
import { SignalingSession } from "../../../loadtest/signaling.ts";
import { Viewer } from "../../../loadtest/viewer.ts";
import type {
  ClientMessage,
  JoinReply,
  NewConsumer,
} from "../../../server/edges/socket/protocol.ts";
import type { Pictures } from "../probes/pictures.ts";
import type { Relay } from "./relay.ts";

export type Transform = ClientMessage<"transform:set">;

export interface CallerOptions {
  url: string;
  roomId: string;
  name: string;
  /** Set: sends this. */
  clip?: LoadClip;
  /** Set: watches, and puts there what it sees. */
  pictures?: Pictures;
  hideOriginal?: boolean;
  transform?: Transform;
  relay?: Relay;
  nowMs(): number;
}

/** What later versions of the protocol add to the answer to a join. */
type AnyJoinReply = JoinReply & {
  resume?: string;
  mediaKept?: boolean;
  consumers?: NewConsumer[];
  transform?: { state: string };
};

const RETRY_MS = 300;
/** Without a frame for so long, media that should have lived on counts as dead. */
const FLOW_LIMIT_MS = 2500;

export class Caller {
  /** Tracks announced so far. */
  announced = 0;
  /** How often everything was set up anew. */
  rebuilt = 0;
  participantId = "";
  readonly events: string[] = [];
  /** Capture to generated frame as the server told it last, ms, by participant. */
  readonly delaysMs = new Map<string, number>();
  readonly #options: CallerOptions;
  readonly #names = new Map<string, string>();
  #session: SignalingSession | undefined;
  #publisher: Publisher | undefined;
  #viewer: Viewer | undefined;
  #resume: string | undefined;
  #healing = false;
  #healAgain = false;
  #closed = false;
  #framesAtMs = Number.NEGATIVE_INFINITY;
  #transform: Transform | undefined;

  private constructor(options: CallerOptions) {
    this.#options = options;
    this.#transform = options.transform;
  }

  /** Connects, joins and sets the media up. Throws what the server answered. */
  static async enter(options: CallerOptions): Promise<Caller> {
    const caller = new Caller(options);
    try {
      await caller.#connect();
      await caller.#join();
    } catch (error) {
      caller.close();
      throw error;
    }
    return caller;
  }

  get name(): string {
    return this.#options.name;
  }

  /** Key-frame requests that reached this camera since it was last set up. */
  get keyFrameRequests(): number {
    return this.#publisher?.keyFrameRequests ?? 0;
  }

  get viewer(): Viewer | undefined {
    return this.#viewer;
  }

  async setTransform(transform: Transform): Promise<void> {
    this.#transform = transform;
    await this.#request("transform:set", transform);
  }

  close(): void {
    this.#closed = true;
    this.#closeMedia();
    this.#session?.close();
  }

  async #connect(): Promise<void> {
    const { url, relay } = this.#options;
    const session = await SignalingSession.open(relay?.url ?? url, undefined, { reconnects: true });
    this.#session = session;
    const note = (name: string) => {
      if (this.events.length < 1000) this.events.push(name);
    };
    session.on("consumer:new", () => {
      this.announced += 1;
    });
    session.on("participant:joined", ({ participantId, name }) =>
      this.#names.set(participantId, name),
    );
    const onFigures = (figures: { participantId: string; delayMs?: number | null }) => {
      if (typeof figures.delayMs !== "number") return;
      this.delaysMs.set(figures.participantId, figures.delayMs);
    };
    session.on("transform:state", onFigures);
    // Later versions tell figures to the participant alone.
    session.on("transform:stats" as "transform:state", onFigures);
    session.on("server:closing", () => note("server:closing"));
    session.on("room:rebuilt", () => {
      note("room:rebuilt");
      void this.#heal(false);
    });
    session.onReconnect((recovered) => {
      note(recovered ? "recovered" : "reconnected");
      void this.#heal(recovered);
    });
  }

  #request<N extends Parameters<SignalingSession["request"]>[0]>(
    name: N,
    message: ClientMessage<N>,
  ) {
    const session = this.#session;
    if (session === undefined) throw new Error(`${this.name}: expected a connection, has none`);
    return session.request(name, message);
  }

  async #join(): Promise<void> {
    const { roomId, name, hideOriginal = false, nowMs } = this.#options;
    const startedAtMs = nowMs();
    const message = { roomId, name, identity: name, hideOriginal };
    const resume = this.#resume === undefined ? {} : { resume: this.#resume };
    const reply = (await this.#request("join", { ...message, ...resume })) as AnyJoinReply;
    this.participantId = reply.participantId;
    this.#resume = reply.resume;
    this.#names.set(reply.participantId, name);
    for (const other of reply.participants) this.#names.set(other.participantId, other.name);
    if (reply.mediaKept && this.#mediaOpen) {
      this.#viewer?.adopt(reply.consumers ?? []);
      void this.#watchFlow();
      return;
    }
    await this.#setUpMedia(reply, startedAtMs);
    const alreadyOn = reply.transform !== undefined && reply.transform.state !== "off";
    if (this.#transform !== undefined && !alreadyOn) {
      await this.#request("transform:set", this.#transform);
    }
  }

  get #mediaOpen(): boolean {
    return (this.#publisher?.open ?? true) && (this.#viewer?.open ?? true);
  }

  async #setUpMedia(reply: JoinReply, startedAtMs: number): Promise<void> {
    const { clip, pictures, relay, nowMs } = this.#options;
    const session = this.#session;
    if (session === undefined) return;
    this.#closeMedia();
    const peer = relay === undefined ? {} : { through: relay.through.bind(relay) };
    if (clip !== undefined) {
      const id = reply.participantId;
      this.#publisher = await Publisher.attach(
        ...([session, id, this.name, clip, nowMs, startedAtMs, peer] as const),
      );
    }
    if (pictures !== undefined) {
      this.#viewer = await Viewer.attach(session, reply, this.name, nowMs, startedAtMs, {
        peer,
        onFrame: (frame) => {
          this.#framesAtMs = frame.atMs;
          pictures.add(this.#names.get(frame.participantId) ?? "?", frame);
        },
      });
    }
  }

  #closeMedia(): void {
    this.#publisher?.closeMedia();
    this.#viewer?.closeMedia();
    this.#publisher = undefined;
    this.#viewer = undefined;
  }

  /** Joins again until it works; `mediaMayLive`: only if nothing flows by itself. */
  async #heal(mediaMayLive: boolean): Promise<void> {
    if (this.#closed) return;
    if (this.#healing) {
      this.#healAgain = true;
      return;
    }
    this.#healing = true;
    if (!mediaMayLive || !(await this.#flows())) await this.#rejoin();
    this.#healing = false;
    if (!this.#healAgain) return;
    this.#healAgain = false;
    await this.#heal(mediaMayLive);
  }

  async #rejoin(): Promise<void> {
    while (!this.#closed) {
      // Without a connection the next one starts this again.
      if (!this.#session?.connected) return;
      try {
        await this.#join();
        this.rebuilt += 1;
        return;
      } catch (error) {
        if (String(error).includes("ALREADY_JOINED")) {
          await this.#request("leave", {}).catch(() => undefined);
        }
        await sleep(RETRY_MS);
      }
    }
  }

  async #flows(): Promise<boolean> {
    if (this.#options.pictures === undefined) return this.#mediaOpen;
    await sleep(FLOW_LIMIT_MS);
    return this.#options.nowMs() - this.#framesAtMs < FLOW_LIMIT_MS;
  }

  /** A place that was taken back with its media may still have lost the path of the media. */
  async #watchFlow(): Promise<void> {
    if (await this.#flows()) return;
    this.#resume = undefined;
    this.#closeMedia();
    await this.#request("leave", {}).catch(() => undefined);
    await this.#rejoin();
  }
}
