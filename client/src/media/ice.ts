import type { types } from "mediasoup-client";

/** A short gap repairs itself; restarting ICE at once would only add work to it. */
const PATIENCE_MS = 2_000;
/** After so many restarts without a connection the whole media session is built anew. */
const MAX_RESTARTS = 3;

export interface IceRepair {
  /** False while signalling is down as well: a restart has to wait for it. */
  reachable(): boolean;
  /** Asks the server for new ICE parameters and restarts ICE with them. */
  restart(): Promise<void>;
  /** The connection is there (again). */
  connected(): void;
  /** The connection could not be repaired. Called at most once. */
  giveUp(): void;
}

/** What this needs of a mediasoup-client transport. */
export interface WatchedTransport {
  readonly closed: boolean;
  readonly connectionState: types.ConnectionState;
  on(event: "connectionstatechange", listener: (state: types.ConnectionState) => void): unknown;
}

/** The watch over one transport. */
export interface IceWatch {
  /** Signalling is back: a connection that is lost is repaired now. */
  check(): void;
  stop(): void;
}

/**
 * Restarts ICE when the transport loses its connection: at once on "failed", after two seconds
 * on "disconnected". Gives up after three restarts in a row without success; the time without
 * signalling does not count.
 * @param patienceMs how long a disconnected transport may repair itself
 */
export function keepConnected(
  transport: WatchedTransport,
  repair: IceRepair,
  patienceMs = PATIENCE_MS,
): IceWatch {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let restarts = 0;
  let stopped = false;

  const stop = (): void => {
    stopped = true;
    clearTimeout(timer);
  };

  const attempt = async (): Promise<void> => {
    if (stopped || transport.closed) return;
    if (!repair.reachable()) {
      schedule(patienceMs);
      return;
    }
    restarts += 1;
    if (restarts > MAX_RESTARTS) {
      stop();
      repair.giveUp();
      return;
    }
    try {
      await repair.restart();
    } catch {
      // No answer: look again once the server may be back.
      schedule(patienceMs);
      return;
    }
    // If ICE is still not connected after a while, the browser may not say so again.
    schedule(3 * patienceMs);
  };

  const schedule = (delayMs: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (transport.connectionState !== "connected") void attempt();
    }, delayMs);
  };

  transport.on("connectionstatechange", (state) => {
    if (stopped) return;
    if (state === "connected") {
      restarts = 0;
      clearTimeout(timer);
      repair.connected();
    } else if (state === "failed") {
      schedule(0);
    } else if (state === "disconnected") {
      schedule(patienceMs);
    }
  });
  return {
    check() {
      const { connectionState } = transport;
      if (stopped || (connectionState !== "failed" && connectionState !== "disconnected")) return;
      restarts = 0;
      schedule(0);
    },
    stop,
  };
}
