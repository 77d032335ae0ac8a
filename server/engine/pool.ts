/**
 * Several engines, each with a device (or devices) of its own, and one for streams that crash them.
 * A session is opened in the engine with the fewest, and stays there: it comes back there after a
 * crash. Places are reserved before a session is opened.
 */
import { DriftlessError } from "../errors.ts";
import type { PlaceLimit } from "./admission.ts";
import { EngineFullError, EngineUnavailableError } from "./engine-error.ts";
import type { EngineMetrics } from "./metrics.ts";
import { Quarantine, type QuarantineOptions } from "./quarantine.ts";
import { RemoteSession, type RemoteSessionListener, type SessionSpec } from "./remote-session.ts";
import { StrikeLedger } from "./strike-ledger.ts";
import { EngineSupervisor, type EngineSupervisorOptions } from "./supervisor.ts";
import { STRIKES_TO_QUARANTINE } from "./suspicion.ts";

/** Where transforms open their sessions. */
export interface SessionHost {
  /** Places in the engines that are up now. */
  readonly places: Places;
  /**
   * Holds a place for a session that will be opened, so that two at once cannot take the last one.
   * Give it to open(), or release() it.
   * @throws EngineFullError when all are taken, with the limit that binds · EngineUnavailableError
   *   when no engine is up, with a time to ask again · DriftlessError SHUTTING_DOWN
   */
  reserve(): Place;
  /**
   * Opens a session, in the place held for it or in any.
   * @throws what reserve() throws, EngineUnavailableError when the engine refuses (`retryAfterMs` null:
   *   it will do so again), or the signal's reason
   */
  open(
    spec: SessionSpec,
    revision: number,
    listener: RemoteSessionListener,
    options?: OpenOptions,
  ): Promise<OpenedSession>;
  /** Ends a session; its listener hears nothing any more. Safe to call twice. */
  closeSession(session: RemoteSession): void;
  /**
   * Calls back when there are free places and more than before.
   * @returns what ends it
   */
  onPlacesFree(listener: () => void): () => void;
}

export interface Places {
  total: number;
  /** By sessions and reservations. */
  used: number;
  free: number;
  /** The limit that will bind, or binds; null while no engine is up. */
  limit: PlaceLimit | null;
}

export interface Place {
  /** Gives it back; after open() took it, or a second time, nothing happens. */
  release(): void;
}

export interface OpenOptions {
  place?: Place;
  /** Calls the opening off: nothing is left of it then. */
  signal?: AbortSignal;
  /**
   * Whom a crash is laid at: the participant, whatever sessions he has one after another. Default: the
   * session alone.
   */
  owner?: string;
}

export interface OpenedSession {
  session: RemoteSession;
  /** The engine's end of the media, for the tap: packets go there and come from there. */
  engineIp: string;
  localPort: number;
}

export interface EnginePoolOptions {
  /** At least one. */
  engines: readonly EngineSupervisorOptions[];
  metrics: EngineMetrics;
  quarantine?: Pick<QuarantineOptions, "paroleMs" | "idleMs">;
}

/** Crashes of the quarantine after which a stream is refused, beside those that led there. */
const QUARANTINE_CRASHES = 3;
const STRIKES_TO_REFUSAL = STRIKES_TO_QUARANTINE + QUARANTINE_CRASHES;

export class EnginePool implements SessionHost {
  readonly engines: readonly EngineSupervisor[];
  readonly quarantine: Quarantine;
  readonly #metrics: EngineMetrics;
  readonly #ledger = new StrikeLedger();
  readonly #reserved = new Map<Place, EngineSupervisor>();
  readonly #listeners = new Set<() => void>();
  #free = 0;
  #draining = false;

  constructor(options: EnginePoolOptions) {
    const { engines, metrics, quarantine } = options;
    this.#metrics = metrics;
    const kinds = new Map<EngineSupervisor, EngineSupervisorOptions>();
    for (const engineOptions of engines) {
      const engine = new EngineSupervisor({ ...engineOptions, ledger: this.#ledger });
      kinds.set(engine, engineOptions);
      engine.watch({
        onChange: () => this.#onChange(),
        onConvicted: (session) => this.quarantine.take(session, engine),
      });
    }
    this.engines = [...kinds.keys()];
    const [first] = engines;
    if (first === undefined) {
      throw new Error("expected at least one engine, received none");
    }
    this.quarantine = new Quarantine({
      ...quarantine,
      metrics,
      logger: first.logger,
      create: (home) => this.#createQuarantine(kinds.get(home) ?? first),
    });
  }

  /** Whether a session could be opened somewhere. */
  get ready(): boolean {
    return this.engines.some((engine) => engine.state === "ready");
  }

  /** Engines that should be up, and those that are. */
  get health(): { configured: number; up: number } {
    const up = this.engines.filter((engine) => engine.state === "ready").length;
    return { configured: this.engines.length, up };
  }

  get places(): Places {
    const sum: Places = { total: 0, used: 0, free: 0, limit: null };
    for (const engine of this.engines) {
      if (engine.state === "ready") {
        const { total, limit } = engine.places(this.#reservedIn(engine));
        const used = this.#usedIn(engine);
        // Of several engines, the limit of the one that will be full last.
        sum.limit = sum.limit === null || total - used > sum.free ? limit : sum.limit;
        sum.total += total;
        sum.used += used;
        sum.free += total - used;
      }
    }
    return sum;
  }

  /**
   * Starts all engines.
   * @throws Error with the words of the first that cannot start; the others are ended then
   */
  async start(): Promise<void> {
    try {
      await Promise.all(this.engines.map((engine) => engine.start()));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Takes no new sessions any more; those that are open go on. */
  drain(): void {
    this.#draining = true;
  }

  /** Ends all processes. Listeners of sessions hear nothing any more. */
  async close(): Promise<void> {
    this.#draining = true;
    await Promise.all([this.quarantine.close(), ...this.engines.map((engine) => engine.close())]);
  }

  reserve(): Place {
    const [engine] = this.#withPlaces();
    if (engine === undefined) {
      throw this.#full();
    }
    const place: Place = {
      release: () => {
        if (this.#reserved.delete(place)) {
          this.#onChange();
        }
      },
    };
    this.#reserved.set(place, engine);
    this.#onChange();
    return place;
  }

  async open(
    spec: SessionSpec,
    revision: number,
    listener: RemoteSessionListener,
    { place, signal, owner }: OpenOptions = {},
  ): Promise<OpenedSession> {
    const held = place === undefined ? undefined : this.#reserved.get(place);
    const session = new RemoteSession(spec, revision, listener, owner);
    const strikesBefore = this.#strikes(session);
    try {
      // In the same tick the session itself takes the place: nobody can come in between.
      if (place !== undefined) {
        this.#reserved.delete(place);
      }
      const { ip, port } = await this.#openSomewhere(session, held, signal);
      return { session, engineIp: ip, localPort: port };
    } catch (error) {
      signal?.throwIfAborted();
      const strikes = this.#strikes(session);
      if (strikes === strikesBefore || strikes < STRIKES_TO_REFUSAL) {
        throw error;
      }
      const message = "The engine crashed again and again while it repainted this camera.";
      throw new EngineUnavailableError(message, null, { cause: error });
    } finally {
      this.#onChange();
    }
  }

  closeSession(session: RemoteSession): void {
    if (!this.quarantine.closeSession(session)) {
      for (const engine of this.engines) {
        engine.closeSession(session);
      }
    }
  }

  onPlacesFree(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #openSomewhere(
    session: RemoteSession,
    held: EngineSupervisor | undefined,
    signal: AbortSignal | undefined,
  ): Promise<{ ip: string; port: number }> {
    const candidates = this.#withPlaces(held);
    const [first] = candidates;
    if (first === undefined) {
      throw this.#full();
    }
    if (this.#strikes(session) >= STRIKES_TO_QUARANTINE) {
      return this.quarantine.open(session, first, signal);
    }
    let refusal: unknown;
    for (const engine of candidates) {
      const { restarts } = engine;
      try {
        return await engine.open(session, signal);
      } catch (error) {
        refusal ??= error;
        // What may have crashed one engine is not given to the next.
        if (engine.restarts !== restarts || signal?.aborted) {
          break;
        }
      }
    }
    throw refusal;
  }

  /** Engines that take a session now, the one with the fewest first; `held` before all. */
  #withPlaces(held?: EngineSupervisor): EngineSupervisor[] {
    if (this.#draining) {
      throw new DriftlessError("SHUTTING_DOWN", "The server is closing.");
    }
    const free = this.engines.filter(
      (engine) =>
        engine.state === "ready" &&
        engine.places(this.#reservedIn(engine)).total > this.#usedIn(engine),
    );
    free.sort((a, b) => this.#usedIn(a) - this.#usedIn(b));
    const first = held !== undefined && free.includes(held) ? [held] : [];
    return [...first, ...free.filter((engine) => engine !== held)];
  }

  #full(): DriftlessError {
    const { limit, total } = this.places;
    if (limit !== null) {
      const why = {
        maxSessions: `all ${total} places for repainted cameras are taken (engine.maxSessions)`,
        memory: `its memory holds ${total} repainted cameras (engine.memoryLimitMb)`,
        compute: `it is fast enough for ${total} repainted cameras, and one more would be late`,
      }[limit];
      return new EngineFullError(limit, `The engine is full: ${why}.`);
    }
    const soonest = [...this.engines].sort((a, b) => a.retryAfterMs - b.retryAfterMs)[0];
    return soonest?.unavailable() ?? new EngineUnavailableError("There is no engine.", null);
  }

  #strikes({ owner }: RemoteSession): number {
    return this.#ledger.count(owner, performance.now());
  }

  #reservedIn(engine: EngineSupervisor): number {
    return [...this.#reserved.values()].filter((other) => other === engine).length;
  }

  #usedIn(engine: EngineSupervisor): number {
    return engine.sessions + this.#reservedIn(engine);
  }

  #onChange(): void {
    const { free, used } = this.places;
    const more = free > this.#free;
    this.#free = free;
    this.#metrics.enginePlaces.set({ state: "free" }, free);
    this.#metrics.enginePlaces.set({ state: "used" }, used);
    if (more) {
      for (const listener of [...this.#listeners]) {
        listener();
      }
    }
  }

  #createQuarantine(like: EngineSupervisorOptions): EngineSupervisor {
    return new EngineSupervisor({
      ...like,
      engine: { ...like.engine, maxSessions: 1 },
      role: "quarantine",
      ledger: this.#ledger,
      suspicion: { ...like.suspicion, strikes: STRIKES_TO_REFUSAL },
    });
  }
}
