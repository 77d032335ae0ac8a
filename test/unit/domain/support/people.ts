/** Rooms, people and tracks as plain data, and a clock that tests turn by hand. */
import { Memberships, type Person } from "../../../../server/domain/memberships.ts";
import type { NewParticipant, Participant } from "../../../../server/domain/participant.ts";
import { Room, type RoomEvents } from "../../../../server/domain/room.ts";
import { Rooms, type RoomsOptions } from "../../../../server/domain/rooms.ts";
import type { Schedule } from "../../../../server/domain/schedule.ts";
import type { BackgroundSettings, RestyleSettings } from "../../../../server/domain/settings.ts";
import type { TrackRef } from "../../../../server/domain/tracks.ts";
import type { TransformStatus } from "../../../../server/domain/transform-state.ts";

export const OFF = { mode: "off" } as const;

export function restyle(prompt = "oil painting"): RestyleSettings {
  return { mode: "restyle", prompt, strength: 0.8, steps: 1, seed: 0 };
}

export function background(prompt = "a beach"): BackgroundSettings {
  return { mode: "background", prompt, blur: false, strength: 0.4, steps: 1, seed: 0 };
}

const GRANTS = { publish: true, view: true, transform: true, admin: false };

export function person(identity: string, over: Partial<Person> = {}): Person {
  return { identity, name: identity, grants: GRANTS, hideRoom: false, token: undefined, ...over };
}

export function newParticipant(id: string, over: Partial<NewParticipant> = {}): NewParticipant {
  const { token: _, ...who } = person(id);
  return { ...who, id, joinedAtMs: 0, address: "192.0.2.1", ...over };
}

export type TrackName = "camera" | "microphone" | "generated";

export function track(owner: string, name: TrackName, number = 1): TrackRef {
  return {
    id: `${owner} ${name} ${number}`,
    owner,
    source: name === "microphone" ? "microphone" : "camera",
    variant: name === "generated" ? "generated" : "original",
    kind: name === "microphone" ? "audio" : "video",
    layers: 1,
    routerId: "router",
  };
}

/** A listener that throws is a fault of the test. */
export const rethrow = (error: unknown): never => {
  throw error;
};

export function createRoom(maxParticipants = 100): Room {
  return new Room({
    id: "room",
    private: false,
    permanent: false,
    createdAtMs: 0,
    maxParticipants,
    onListenerError: rethrow,
  });
}

const EVENTS = [
  "joined",
  "left",
  "updated",
  "policyChanged",
  "wishChanged",
  "planChanged",
  "transformState",
  "transformFigures",
  "transformApplied",
  "transformRefused",
] as const satisfies (keyof RoomEvents)[];

/** Notes "event participant" for all that a room tells; what was noted is taken by calling it. */
export function recordEvents(room: Room): () => string[] {
  let seen: string[] = [];
  for (const event of EVENTS) {
    room.on(event, (participant: Participant, ...rest: unknown[]) => {
      const viewer = event === "planChanged" ? (rest[0] as Participant | undefined) : undefined;
      seen.push(`${event} ${participant.id}${viewer === undefined ? "" : ` for ${viewer.id}`}`);
    });
  }
  room.on("empty", () => seen.push("empty"));
  return () => {
    const taken = seen;
    seen = [];
    return taken;
  };
}

/** The plan in words: "ada camera 1", "(ada generated 1)" where it does not flow. */
export function planOf(room: Room, publisher: Participant, viewer: Participant): string[] {
  return room
    .plan(publisher, viewer)
    .map(({ track: { id }, flowing }) => (flowing ? id : `(${id})`));
}

export const STATUS: Omit<TransformStatus, "settings"> = {
  state: "live",
  reason: "",
  level: "full",
  queue: null,
  delayMs: 200,
  delayP95Ms: 300,
  fps: 16,
  bitrateBps: 500_000,
};

/** Time that stands still until it is turned. */
export class ManualClock {
  nowMs = 0;
  #timers: { atMs: number; run: () => void }[] = [];

  readonly schedule: Schedule = (delayMs, run) => {
    const timer = { atMs: this.nowMs + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  };

  get pending(): number {
    return this.#timers.length;
  }

  advance(byMs: number): void {
    const untilMs = this.nowMs + byMs;
    for (;;) {
      const due = this.#timers.filter(({ atMs }) => atMs <= untilMs);
      const [next] = due.sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = untilMs;
  }
}

export function createRooms(clock: ManualClock, over: Partial<RoomsOptions> = {}): Rooms {
  return new Rooms({
    maxRooms: 100,
    maxParticipantsPerRoom: 100,
    maxPreviewsPerAddress: 2,
    autoCreate: true,
    emptySeconds: 60,
    nowMs: () => clock.nowMs,
    schedule: clock.schedule,
    onListenerError: rethrow,
    ...over,
  });
}

export const GRACE_MS = 15_000;
export const RESUME_MS = 600_000;

export function createMemberships(clock: ManualClock, rooms: Rooms): Memberships {
  let count = 0;
  return new Memberships({
    rooms,
    graceSeconds: GRACE_MS / 1000,
    resumeSeconds: RESUME_MS / 1000,
    nowMs: () => clock.nowMs,
    schedule: clock.schedule,
    newSecret: () => `secret ${++count}`,
    newId: () => `participant ${++count}`,
  });
}

/** What a refusal says first: its code; "none" where nothing was thrown. */
export function codeOf(work: () => unknown): string {
  try {
    work();
    return "none";
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}
