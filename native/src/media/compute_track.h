#pragma once

#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "media/compute_loop.h"

namespace driftless {

/// One track of the compute loop: what waits for it, and its side of the pipeline.
struct ComputeLoop::Track {
  Track(Listener& listener, SessionCounters& counters, Pipeline* pipeline)
      : listener(listener), counters(counters), model(pipeline) {}

  Listener& listener;
  SessionCounters& counters;

  // Guarded by the loop's mutex.
  std::optional<size_t> turn;  // the scheduler's number; none without a model
  bool takes_turns = false;    // false while frames only pass through, which costs nothing
  std::optional<Chunk> waiting;
  PictureSize size;             // of its pictures
  bool waits_for_turn = false;  // the waiting chunk is the scheduler's to choose
  std::optional<std::pair<Transform, uint64_t>> pending;    // settings and their revision
  std::optional<std::pair<Transform, uint64_t>> preparing;  // the same, its prompt not encoded yet
  bool begun = false;                                       // has settings to work with
  uint64_t last_revision = 0;
  int running = 0;  // batches with it, and one more while its level changes
  bool removed = false;

  // Used by the compute thread only, while running.
  ModelTrack model;
  bool broken = false;  // its stream has failed in a batch, and others may be under way
  std::optional<std::pair<Transform, uint64_t>> change;
  Transform asked;  // what the model accepted last
  uint64_t asked_revision = 0;
  Level level, applied_level;
  bool refused = false;
  std::optional<LevelChange> level_change;
  GuardCounters latents_guard, pictures_guard;  // as the stream said last
  int failures_in_a_row = 0;

  // By the compute thread:
  /// Counts a failure and tells the listener of the first few in a row, and always of a lost
  /// device.
  void fail(const std::exception_ptr& error, size_t lost_frames);
  void deliver(GeneratedChunk chunk, double start_ms, double now_ms);
  /// Adds what the guards have done since the last chunk; a new stream counts from zero.
  void note_guards(const ChunkResult& result);
  /// Brings the model to the settings asked for, with the steps and the picture of the track's
  /// level. Where the model refuses, the former ones stay.
  void apply_change();
};

}  // namespace driftless
