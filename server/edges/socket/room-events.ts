/** What happens in rooms, as messages to the connections of those who are in them. */
import type { Participant } from "../../domain/participant.ts";
import type { Room } from "../../domain/room.ts";
import type { Rooms } from "../../domain/rooms.ts";
import type { MediaService } from "../../media/media-service.ts";
import type { ServerEventName, ServerEvents } from "./protocol.ts";

/** Where messages go. */
export interface Audience {
  /** To everybody in the room, but for one participant. */
  toRoom<N extends ServerEventName>(
    room: Room,
    event: N,
    payload: ServerEvents[N],
    except?: string,
  ): void;
  toParticipant<N extends ServerEventName>(
    participantId: string,
    event: N,
    payload: ServerEvents[N],
  ): void;
  /** As above, but worth nothing a moment later: dropped where the connection is busy. */
  toParticipantNow<N extends ServerEventName>(
    participantId: string,
    event: N,
    payload: ServerEvents[N],
  ): void;
  /** The membership has ended, and its client did not end it. */
  dismiss(participant: Participant, reason: string): void;
  /** The participant has to set its media up anew. */
  mediaLost(participant: Participant, room: Room, reason: string): void;
}

/** Sends what rooms and media tell. @param later runs something soon, once for many calls */
export function followRooms(rooms: Rooms, media: MediaService, audience: Audience): void {
  rooms.on("opened", (room) => followRoom(room, audience));
  media.on("consumerOpened", (viewerId, consumer) =>
    audience.toParticipant(viewerId, "consumer:new", consumer),
  );
  media.on("consumerClosed", (viewerId, consumerId) =>
    audience.toParticipant(viewerId, "consumer:closed", { consumerId }),
  );
  media.on("consumerPaused", (viewerId, consumerId) =>
    audience.toParticipant(viewerId, "consumer:paused", { consumerId }),
  );
  media.on("consumerResumed", (viewerId, consumerId) =>
    audience.toParticipant(viewerId, "consumer:resumed", { consumerId }),
  );
  media.on("rebuilt", (room, reason) => {
    for (const participant of room.participants) audience.mediaLost(participant, room, reason);
  });
}

function followRoom(room: Room, audience: Audience): void {
  const updates = new Updates(room, audience);
  room.on("joined", (p) => audience.toRoom(room, "participant:joined", p.info, p.id));
  room.on("updated", (p) => updates.add(p, "info"));
  room.on("transformState", (p) => updates.add(p, "transform"));
  room.on("left", (participant, reason) => {
    // The end of the whole room is told to each one once, not to each about all others.
    const { id: participantId } = participant;
    updates.forget(participantId);
    if (!room.closed) {
      audience.toRoom(room, "participant:left", { participantId, reason }, participantId);
    }
    audience.dismiss(participant, reason);
  });
  room.on("transformFigures", (p) => audience.toParticipantNow(p.id, "transform:stats", p.figures));
  room.on("transformApplied", ({ id: participantId }, applied) => {
    audience.toRoom(room, "transform:applied", { participantId, ...applied });
  });
  room.on("transformRefused", ({ id }, revision, error) =>
    audience.toParticipant(id, "transform:refused", { revision, ...error.toBody() }),
  );
}

type What = "info" | "transform";

/** One change often has several events: who is told hears the last state, once, and only if new. */
class Updates {
  readonly #room: Room;
  readonly #audience: Audience;
  readonly #waiting = new Map<Participant, Set<What>>();
  /** What was sent last, by participant. */
  readonly #sent = new Map<string, Record<What, string>>();

  constructor(room: Room, audience: Audience) {
    this.#room = room;
    this.#audience = audience;
  }

  add(participant: Participant, what: What): void {
    if (this.#waiting.size === 0) setImmediate(() => this.#flush());
    const waiting = this.#waiting.get(participant);
    if (waiting === undefined) this.#waiting.set(participant, new Set([what]));
    else waiting.add(what);
  }

  forget(participantId: string): void {
    this.#sent.delete(participantId);
  }

  #flush(): void {
    for (const [participant, whats] of this.#waiting) {
      if (participant.left) continue;
      if (whats.has("info"))
        this.#send(participant, "info", "participant:updated", participant.info);
      if (whats.has("transform")) {
        this.#send(participant, "transform", "transform:state", participant.transform);
      }
    }
    this.#waiting.clear();
  }

  #send<N extends "participant:updated" | "transform:state">(
    { id }: Participant,
    what: What,
    event: N,
    payload: ServerEvents[N],
  ): void {
    const text = JSON.stringify(payload);
    const sent = this.#sent.get(id) ?? { info: "", transform: "" };
    if (sent[what] === text) return;
    sent[what] = text;
    this.#sent.set(id, sent);
    this.#audience.toRoom(this.#room, event, payload);
  }
}
