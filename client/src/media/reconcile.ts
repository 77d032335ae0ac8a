/**
 * After an interruption the server says which tracks it has. These functions find what differs
 * from the tracks that are here: plain data in, plain data out.
 */
import type { NewConsumer, OwnProducer, Source } from "../protocol.ts";

export interface ConsumerChanges {
  /** Ids of received tracks that the server does not know any more. */
  close: string[];
  /** Tracks that were announced while nobody listened. */
  add: NewConsumer[];
  /** Tracks that are held back or flow, other than believed here. */
  flow: { consumerId: string; flowing: boolean }[];
}

/**
 * @param have received tracks, set up or being set up
 * @param listed all tracks that the server sends, by its answer to `join`
 */
export function compareConsumers(
  have: readonly { consumerId: string; flowing: boolean }[],
  listed: readonly NewConsumer[],
): ConsumerChanges {
  const known = new Map(have.map(({ consumerId, flowing }) => [consumerId, flowing]));
  const named = new Set(listed.map(({ consumerId }) => consumerId));
  return {
    close: have.map(({ consumerId }) => consumerId).filter((id) => !named.has(id)),
    add: listed.filter(({ consumerId }) => !known.has(consumerId)),
    flow: listed.flatMap(({ consumerId, paused }) =>
      known.has(consumerId) && known.get(consumerId) === paused
        ? [{ consumerId, flowing: !paused }]
        : [],
    ),
  };
}

export interface ProducerChanges {
  /** Sources whose track the server lost: they are sent anew. */
  republish: Source[];
  /** Ids of tracks that the server has and this page does not. */
  close: string[];
  /** Tracks whose pause the server did not hear of. */
  pause: { producerId: string; paused: boolean }[];
}

/**
 * @param have the own tracks as they are sent
 * @param listed the own tracks as the server has them
 */
export function compareProducers(
  have: readonly OwnProducer[],
  listed: readonly OwnProducer[],
): ProducerChanges {
  const here = new Map(have.map((each) => [each.producerId, each]));
  const there = new Set(listed.map(({ producerId }) => producerId));
  return {
    republish: have.filter(({ producerId }) => !there.has(producerId)).map(({ source }) => source),
    close: listed.map(({ producerId }) => producerId).filter((id) => !here.has(id)),
    pause: listed.flatMap(({ producerId, paused }) => {
      const own = here.get(producerId);
      return own === undefined || own.paused === paused ? [] : [{ producerId, paused: own.paused }];
    }),
  };
}
