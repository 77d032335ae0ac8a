/**
 * Metrics of rooms, media and signalling (the engine adds its own to the same
 * registry). Labels are bounded by construction: none of them is a room, a
 * participant or anything else that a client chooses.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

const SECONDS_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export type Metrics = ReturnType<typeof createMetrics>;

/** A fresh registry, so that several servers can live in one test process. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: "driftless_" });

  return {
    registry,
    rooms: new Gauge({ name: "driftless_rooms", help: "Rooms that exist.", registers }),
    participants: new Gauge({
      name: "driftless_participants",
      help: "Participants in all rooms.",
      registers,
    }),
    producers: new Gauge({
      name: "driftless_producers",
      help: "Tracks received, by kind and source.",
      labelNames: ["kind", "track"] as const,
      registers,
    }),
    consumers: new Gauge({
      name: "driftless_consumers",
      help: "Tracks sent to viewers, flowing or not.",
      labelNames: ["kind", "track"] as const,
      registers,
    }),
    joins: new Counter({
      name: "driftless_joins_total",
      help: "Joins, by result (ok or the error's code).",
      labelNames: ["result"] as const,
      registers,
    }),
    joinSeconds: new Histogram({
      name: "driftless_join_seconds",
      help: "Time to answer a join.",
      buckets: SECONDS_BUCKETS,
      registers,
    }),
    connections: new Gauge({
      name: "driftless_signalling_connections",
      help: "Open signalling connections.",
      registers,
    }),
    messages: new Counter({
      name: "driftless_signalling_messages_total",
      help: "Signalling messages handled, by name.",
      labelNames: ["message"] as const,
      registers,
    }),
    signallingErrors: new Counter({
      name: "driftless_signalling_errors_total",
      help: "Signalling messages refused, by the error's code.",
      labelNames: ["code"] as const,
      registers,
    }),
    httpRequests: new Counter({
      name: "driftless_http_requests_total",
      help: "HTTP requests, by method and status class.",
      labelNames: ["method", "status"] as const,
      registers,
    }),
    listenerErrors: new Counter({
      name: "driftless_listener_errors_total",
      help: "Exceptions of event listeners, kept away from the media path.",
      registers,
    }),
    workerDeaths: new Counter({
      name: "driftless_sfu_worker_deaths_total",
      help: "mediasoup workers that died unexpectedly.",
      registers,
    }),
    roomsRebuilt: new Counter({
      name: "driftless_rooms_rebuilt_total",
      help: "Rooms moved to another worker after a death.",
      registers,
    }),
  };
}
