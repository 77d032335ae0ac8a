/**
 * Memberships and the endpoints that serve them. An endpoint is a connection through which a
 * participant sends and receives: a socket, later also a WHIP or WHEP session or a recorder.
 * Endpoints come and go; the membership stays while one of them is there and for a while after the
 * last. A resume secret given at the join takes the place back at once, whatever became of the
 * token, and lets who was away for too long come in again as the same person.
 */
import { DriftlessError } from "../errors.ts";
import type { Grants } from "./grants.ts";
import type { NewParticipant, Participant } from "./participant.ts";
import type { Room } from "./room.ts";
import type { Rooms } from "./rooms.ts";
import type { Schedule } from "./schedule.ts";
import type { ActiveSettings } from "./settings.ts";

export interface Endpoint {
  /** Another connection has taken the place of this one. */
  onReplaced(): void;
}

/** What a token says of itself, where one let the person in: it may be taken back later. */
export interface TokenRef {
  readonly room: string;
  readonly identity: string;
  readonly jti: string;
  readonly issuedAtMs: number | undefined;
}

/** Who is let in; survives the participant. */
export interface Person extends Omit<NewParticipant, "id" | "joinedAtMs" | "address"> {
  token: TokenRef | undefined;
}

/** What a resume secret opens. */
export interface Membership {
  readonly secret: string;
  readonly person: Person;
  readonly roomId: string;
  readonly room: Room;
  readonly participant: Participant;
}

export interface MembershipsOptions {
  rooms: Rooms;
  /** How long a place is kept for one whose last connection broke. */
  graceSeconds: number;
  /** How long after that the resume secret lets the person in again. */
  resumeSeconds: number;
  nowMs: () => number;
  schedule: Schedule;
  /** Unguessable. */
  newSecret: () => string;
  newId: () => string;
}

interface Entry {
  membership: Membership;
  endpoints: Set<Endpoint>;
  cancelGrace: () => void;
}

/** Who left without saying so, and until when the secret is good. */
interface Parked {
  person: Person;
  roomId: string;
  /** A background that hid the room hides it again from the first frame on. */
  background: ActiveSettings | undefined;
  untilMs: number;
}

/** Most secrets of people who are away; beyond it the oldest is forgotten. */
const MAX_PARKED = 10_000;

export class Memberships {
  readonly #options: MembershipsOptions;
  readonly #bySecret = new Map<string, Entry>();
  readonly #byParticipant = new Map<string, Entry>();
  readonly #parked = new Map<string, Parked>();

  constructor(options: MembershipsOptions) {
    this.#options = options;
    options.rooms.on("opened", (room) => {
      room.on("left", (participant) => this.#forget(participant.id));
    });
    // Who ended a room did not mean it to come back with those who were away.
    options.rooms.on("closed", (room, _reason, byOperator) => {
      if (!byOperator) return;
      for (const [secret, { roomId }] of this.#parked) {
        if (roomId === room.id) this.#parked.delete(secret);
      }
    });
  }

  /**
   * Brings somebody in.
   * @throws DriftlessError what Room.join throws
   */
  enter(room: Room, person: Membership["person"], address: string, endpoint: Endpoint): Membership {
    const { newId, newSecret, nowMs } = this.#options;
    const options = { ...person, id: newId(), joinedAtMs: nowMs(), address };
    const participant = room.join(options);
    const membership: Membership = {
      secret: newSecret(),
      person,
      roomId: room.id,
      room,
      participant,
    };
    const entry: Entry = { membership, endpoints: new Set([endpoint]), cancelGrace: () => {} };
    this.#bySecret.set(membership.secret, entry);
    this.#byParticipant.set(participant.id, entry);
    return membership;
  }

  /**
   * Takes a place back: the endpoint replaces the ones that were there.
   * @returns undefined where the secret opens nothing: unknown, given up on purpose, or too old
   * @throws DriftlessError what joining anew throws, for one who was away for too long
   */
  resume(
    secret: string,
    roomId: string,
    address: string,
    endpoint: Endpoint,
  ): Membership | undefined {
    const entry = this.#bySecret.get(secret);
    if (entry !== undefined) {
      if (entry.membership.roomId !== roomId) return undefined;
      const replaced = [...entry.endpoints].filter((other) => other !== endpoint);
      entry.endpoints = new Set([endpoint]);
      entry.cancelGrace();
      entry.membership.participant.connected = true;
      for (const other of replaced) other.onReplaced();
      return entry.membership;
    }
    const parked = this.#parked.get(secret);
    if (parked === undefined || parked.roomId !== roomId) return undefined;
    if (this.#options.nowMs() > parked.untilMs) {
      this.#parked.delete(secret);
      return undefined;
    }
    const room = this.#options.rooms.forJoin(roomId);
    const membership = this.enter(room, parked.person, address, endpoint);
    this.#parked.delete(secret);
    if (parked.background !== undefined) room.wish(membership.participant, parked.background);
    return membership;
  }

  /** Whether a secret would be taken: lets a connection in whose token has ended meanwhile. */
  knows(secret: string): boolean {
    if (this.#bySecret.has(secret)) return true;
    const parked = this.#parked.get(secret);
    return parked !== undefined && this.#options.nowMs() <= parked.untilMs;
  }

  /** A connection is gone. @param final it was closed on purpose: the place is given up at once */
  detach(participantId: string, endpoint: Endpoint, final: boolean): void {
    const entry = this.#byParticipant.get(participantId);
    if (entry === undefined || !entry.endpoints.delete(endpoint) || entry.endpoints.size > 0)
      return;
    const { room, participant, secret, person, roomId } = entry.membership;
    if (final) {
      room.leave(participant.id, "left");
      return;
    }
    participant.connected = false;
    const { graceSeconds, resumeSeconds, nowMs, schedule } = this.#options;
    entry.cancelGrace = schedule(graceSeconds * 1000, () => {
      // A private room dies with its person; there is nothing to come back to.
      if (!room.private) {
        const untilMs = nowMs() + resumeSeconds * 1000;
        const { hideRoom, grants, wish } = participant;
        const background = wish.settings?.mode === "background" ? wish.settings : undefined;
        const parked = { person: { ...person, hideRoom, grants }, roomId, background, untilMs };
        this.#park(secret, parked);
      }
      room.leave(participant.id, "lost the connection");
    });
  }

  /**
   * The token behind a membership was refreshed.
   * @throws DriftlessError NOT_JOINED
   */
  onTokenRefreshed(participantId: string, grants: Grants, token: TokenRef): void {
    const entry = this.#byParticipant.get(participantId);
    if (entry === undefined) throw new DriftlessError("NOT_JOINED", "Join a room first.");
    const { membership } = entry;
    membership.participant.grants = grants;
    entry.membership = { ...membership, person: { ...membership.person, grants, token } };
  }

  /** Ends the stays of those whom it concerns, and voids their secrets. @returns how many */
  expel(concerns: (person: Person) => boolean, reason: string): number {
    for (const [secret, { person }] of this.#parked) {
      if (concerns(person)) this.#parked.delete(secret);
    }
    const members = [...this.#byParticipant.values()].filter(({ membership }) =>
      concerns(membership.person),
    );
    for (const { membership } of members) membership.room.leave(membership.participant.id, reason);
    return members.length;
  }

  #park(secret: string, parked: Parked): void {
    const [oldest] = this.#parked.keys();
    if (this.#parked.size >= MAX_PARKED && oldest !== undefined) this.#parked.delete(oldest);
    this.#parked.set(secret, parked);
  }

  #forget(participantId: string): void {
    const entry = this.#byParticipant.get(participantId);
    if (entry === undefined) return;
    entry.cancelGrace();
    this.#byParticipant.delete(participantId);
    this.#bySecret.delete(entry.membership.secret);
  }
}
