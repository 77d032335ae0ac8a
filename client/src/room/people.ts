import type { ConsumerEntry, Slot } from "../media/consumers.ts";
import type { ParticipantInfo, TransformStatus } from "../protocol.ts";
import { type AppState, NO_MEDIA, type Person, withPerson } from "../state.ts";

/** Adds a participant or takes over what changed; received tracks and figures stay. */
export function withInfo(state: AppState, info: ParticipantInfo): AppState {
  const person: Person = state.people[info.participantId] ?? {
    info,
    media: NO_MEDIA,
    status: null,
  };
  const status = info.transform === null ? null : person.status;
  return {
    ...state,
    people: { ...state.people, [info.participantId]: { ...person, info, status } },
  };
}

/** Removes a participant who left. */
export function withoutInfo(state: AppState, participantId: string): AppState {
  if (state.people[participantId] === undefined) return state;
  const { [participantId]: _gone, ...people } = state.people;
  return { ...state, people };
}

/**
 * Everybody who is there by the answer to `join`. `kept`: the tracks received so far live on, and
 * their reports count; otherwise all of that is void.
 */
export function withEverybody(
  state: AppState,
  infos: readonly ParticipantInfo[],
  kept: boolean,
): AppState {
  const before = kept ? state.people : {};
  const named = infos.flatMap(({ participantId }) => {
    const person = before[participantId];
    return person === undefined ? [] : [[participantId, person] as const];
  });
  return infos.reduce(withInfo, { ...state, people: Object.fromEntries(named) });
}

/** Takes over a report about a participant's transform. */
export function withStatus(state: AppState, status: TransformStatus): AppState {
  return withPerson(state, status.participantId, (person) => {
    const { state: name, reason, settings, delayMs, video } = status;
    const off = name === "off";
    const transform = off ? null : { state: name, reason, settings, delayMs };
    return { ...person, status: off ? null : status, info: { ...person.info, transform, video } };
  });
}

/** Takes over a received track that appeared, changed its flow, or is gone (`entry` null). */
export function withTrack(
  state: AppState,
  participantId: string,
  slot: Slot,
  entry: ConsumerEntry | null,
): AppState {
  return withPerson(state, participantId, (person) => {
    const received =
      entry === null
        ? null
        : {
            consumerId: entry.consumer.id,
            track: entry.consumer.track,
            flowing: entry.flowing,
          };
    return { ...person, media: { ...person.media, [slot]: received } };
  });
}
