/**
 * The way into a room and back into it, as a state machine: a pure function from a state and an
 * event to the next state and what is to be done. `stay.ts` does it.
 *
 *   connecting → joining → joined ⇄ away        the socket is down; the place waits on the server
 *                   ↑↓                          again: the room was rebuilt, the media is beyond repair
 *                waiting                        refused for the moment; a timer runs
 *   any → ended                                 left, or refused for good
 */

export interface Connection {
  readonly name: "connecting" | "joining" | "joined" | "away" | "waiting" | "ended";
  /** Number of the newest attempt to join: answers to older ones are void. */
  readonly attempt: number;
  /** The person has been in: what fails from here on is tried again. */
  readonly member: boolean;
  /** Failures in a row. */
  readonly failures: number;
}

export type ConnectionEvent =
  | { type: "opened" }
  /** `willRetry`: the next connection comes by itself. */
  | { type: "dropped"; willRetry: boolean }
  /** A connection was not made. `mayPass`: it may well be later. */
  | { type: "refused"; willRetry: boolean; mayPass: boolean }
  | { type: "joined"; attempt: number }
  | { type: "joinFailed"; attempt: number; mayPass: boolean }
  /** The server says that the media is void. */
  | { type: "rebuilt" }
  /** ICE could not be repaired. */
  | { type: "mediaLost" }
  /** The time that `retry` or `connect` asked for is over, or there is a reason to try at once. */
  | { type: "timer" }
  | { type: "left" };

export type ConnectionEffect =
  /** Join. `anew`: leave first, so that nothing of the earlier media is kept. */
  | { do: "join"; attempt: number; anew: boolean }
  /** Send `timer` after so long. */
  | { do: "wait"; failures: number }
  /** Make a new connection now. */
  | { do: "connect" }
  /** It is over: tell why, if it was not the person's wish. */
  | { do: "end" };

export interface Step {
  state: Connection;
  effects: ConnectionEffect[];
}

/** Together about two minutes of trying, with the pauses of `retryDelayMs`. */
export const MAX_FAILURES = 28;
const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 5_000;

export const FIRST_STATE: Connection = {
  name: "connecting",
  attempt: 0,
  member: false,
  failures: 0,
};

/**
 * How long to wait after so many failures: longer each time, and not in step with everybody else
 * who lost the same server.
 * @param random in [0, 1)
 */
export function retryDelayMs(failures: number, random: number): number {
  const full = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.max(0, failures - 1));
  return Math.round(full * (0.75 + random / 2));
}

export function step(state: Connection, event: ConnectionEvent): Step {
  if (state.name === "ended") return { state, effects: [] };
  switch (event.type) {
    case "opened":
      return join(state);
    case "dropped": {
      // Nothing that was asked on the old connection will be answered.
      const attempt = state.attempt + 1;
      const name = state.member ? "away" : "connecting";
      const effects: ConnectionEffect[] = event.willRetry
        ? []
        : [{ do: "wait", failures: state.failures + 1 }];
      return { state: { ...state, name, attempt }, effects };
    }
    case "refused": {
      if (!state.member) return end(state);
      if (event.mayPass && event.willRetry) return same(state);
      return event.mayPass ? tryLater(state, "away") : end(state);
    }
    case "joined":
      if (event.attempt !== state.attempt) return same(state);
      return { state: { ...state, name: "joined", member: true, failures: 0 }, effects: [] };
    case "joinFailed":
      if (event.attempt !== state.attempt || state.name !== "joining") return same(state);
      return state.member && event.mayPass ? tryLater(state, "waiting") : end(state);
    case "rebuilt":
      return isOpen(state) ? join(state) : same(state);
    case "mediaLost":
      return state.name === "joined" ? join(state, true) : same(state);
    case "timer":
      if (state.name === "waiting") return join(state);
      return isOpen(state) ? same(state) : { state, effects: [{ do: "connect" }] };
    case "left":
      return { state: { ...state, name: "ended" }, effects: [] };
  }
}

/** A connection is there. */
function isOpen({ name }: Connection): boolean {
  return name === "joining" || name === "joined" || name === "waiting";
}

function join(state: Connection, anew = false): Step {
  const attempt = state.attempt + 1;
  return {
    state: { ...state, name: "joining", attempt },
    effects: [{ do: "join", attempt, anew }],
  };
}

function tryLater(state: Connection, name: "away" | "waiting"): Step {
  const failures = state.failures + 1;
  if (failures >= MAX_FAILURES) return end(state);
  return { state: { ...state, name, failures }, effects: [{ do: "wait", failures }] };
}

function end(state: Connection): Step {
  return { state: { ...state, name: "ended" }, effects: [{ do: "end" }] };
}

function same(state: Connection): Step {
  return { state, effects: [] };
}
