#pragma once

// The rows of the stream batch on their way through the network: what is noised for them, what the
// network says, and what they become for the next step.

#include <cstddef>
#include <exception>
#include <memory>
#include <vector>

#include "models/causal_dit.h"
#include "stream/flow_schedule.h"
#include "stream/pipeline.h"
#include "stream/session.h"

namespace driftless {

class Denoiser {
 public:
  // One (session, step) entry of a forward.
  struct Row {
    Pipeline::Job* job = nullptr;  // whose frames it may become
    Session* session = nullptr;
    ChunkInFlight* chunk = nullptr;
    size_t step = 0;
    Tensor output;  // by finish(): what the network says, until the batch's room is used again
  };
  // The rows of some sessions that go through the network together, and room for what it says.
  struct Batch {
    std::vector<Row> rows;
    size_t forwards = 0;  // begun and not finished
    std::exception_ptr error;
    std::unique_ptr<Arena> room;
    int64_t room_rows = 0;
    Tensor output;
  };

  // All must outlive it.
  Denoiser(const ModelConfig& config, CausalDit& dit, Ops& ops);

  // Takes memory for so many sessions with so many rows each.
  void make_room(Batch& batch, size_t sessions, size_t rows_each);

  // Noises a chunk's clean latents for row 0.
  void enter(ChunkInFlight& chunk);

  // One forward for the rows of each size, which must stand together; a row's result is the same in
  // any company. finish() fills in their outputs, or throws what went wrong in either half.
  // Batches are finished in the order in which they were begun.
  void start(Batch& batch);
  void finish(Batch& batch);

  // The clean estimate of a row's chunk, at unit scale: it is x0() until the next call.
  void predict(const Row& row);
  const Tensor& x0() const { return x0_; }

  // Noises x0() again, for a chunk's step number `step`; or leaves it without noise.
  void step_down(ChunkInFlight& chunk, size_t step);
  void show_clean(ChunkInFlight& chunk);

  // The original and x0(), by the strength that the chunk was begun with, into `latents`.
  void mix(const ChunkInFlight& chunk, const Tensor& latents) const;

  // Puts a chunk that has entered through the first `rows` rows of its session, one after the
  // other, for what they remember of it. x0() is the last one's. Returns the room of its output.
  Tensor replay(Session& session, ChunkInFlight& chunk, size_t rows);

  // Makes a session's rings anew from the latents of their window, under the newest chunk's
  // settings.
  void recache(Session& session);

 private:
  Tensor noise_for(const ChunkInFlight& chunk, size_t step);
  void make_input_room(int64_t rows);
  std::unique_ptr<Arena> room_for(const Shape& shape, Tensor& tensor) const;
  void finish_oldest();
  void start_as_fits(Batch& batch, size_t from, size_t count);
  void start_group(Batch& batch, size_t from, size_t count);

  const ModelConfig& config_;
  CausalDit& dit_;
  Ops& ops_;
  const FlowSchedule schedule_;
  const float scale_;   // of latents in the network
  const Shape latent_;  // a chunk's latents at the size that has most
  Arena memory_;
  // From normalised latents to what is noised for row 0, by channel.
  Tensor input_scale_, input_shift_;
  // A chunk's worth each, and x0_ in the shape of the chunk it is of.
  Tensor estimate_, drawn_, x0_;
  // Reused from call to call: the network's input for so many rows of that size.
  std::vector<DitRow> dit_rows_;
  std::unique_ptr<Arena> room_;
  int64_t room_rows_ = 0;
  Tensor input_;
  Batch replayed_;
  std::vector<Batch*> under_way_;  // that each forward is of, the oldest first
};

}  // namespace driftless
