/**
 * Several engine processes, each with a device (or devices) of its own. A session is opened in the
 * one with the fewest, and stays there: it comes back there after a crash.
 */
import { DriftlessError } from "../errors.ts";
import type { RemoteSession, RemoteSessionListener, SessionSpec } from "./remote-session.ts";
import type { EngineSupervisor } from "./supervisor.ts";

/** Where transforms open their sessions. */
export interface SessionHost {
  /**
   * Opens a session.
   * @returns the session and the engine's UDP port for it
   * @throws DriftlessError ENGINE_UNAVAILABLE when no engine is up or all refuse
   */
  open(
    spec: SessionSpec,
    revision: number,
    listener: RemoteSessionListener,
  ): Promise<{ session: RemoteSession; localPort: number }>;
  /** Ends a session; its listener hears nothing any more. */
  closeSession(session: RemoteSession): void;
}

export class EnginePool implements SessionHost {
  readonly #engines: readonly EngineSupervisor[];
  readonly #homes = new Map<RemoteSession, EngineSupervisor>();

  /** @param engines at least one, stopped */
  constructor(engines: readonly EngineSupervisor[]) {
    this.#engines = engines;
  }

  /** Whether a session could be opened somewhere. */
  get ready(): boolean {
    return this.#engines.some((engine) => engine.state === "ready");
  }

  /**
   * Starts all engines.
   * @throws Error with the words of the first that cannot start; the others are ended then
   */
  async start(): Promise<void> {
    try {
      await Promise.all(this.#engines.map((engine) => engine.start()));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Ends all processes. Sessions are told that they stopped. */
  async close(): Promise<void> {
    this.#homes.clear();
    await Promise.all(this.#engines.map((engine) => engine.close()));
  }

  async open(
    spec: SessionSpec,
    revision: number,
    listener: RemoteSessionListener,
  ): Promise<{ session: RemoteSession; localPort: number }> {
    const up = this.#engines.filter((engine) => engine.state === "ready");
    up.sort((a, b) => a.sessions - b.sessions);
    // Where none is up, any of them says why.
    let refusal: unknown;
    for (const engine of up.length > 0 ? up : this.#engines.slice(0, 1)) {
      try {
        const opened = await engine.open(spec, revision, listener);
        this.#homes.set(opened.session, engine);
        return opened;
      } catch (error) {
        refusal ??= error;
      }
    }
    throw refusal ?? new DriftlessError("ENGINE_UNAVAILABLE", "There is no engine.");
  }

  closeSession(session: RemoteSession): void {
    this.#homes.get(session)?.closeSession(session);
    this.#homes.delete(session);
  }
}
