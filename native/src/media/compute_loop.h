#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "media/model_track.h"
#include "media/session_types.h"
#include "stream/slo_scheduler.h"

namespace driftless {

/// The compute thread of one device. The scheduler (stream/slo_scheduler.h) says which of the
/// chunks that wait run next, together or apart, and what each track gets when the device cannot
/// keep every promise. A track holds at most one waiting chunk: a newer one takes its place,
/// because old pictures are worth nothing.
///
/// Where the model is split over several devices, several batches are under way at once, and end in
/// the order in which they were begun.
///
/// Prompts that take long are encoded by a second thread: meanwhile a track goes on with the
/// settings that it has, or keeps its newest chunk when they are its first; the others notice
/// nothing.
class ComputeLoop {
 public:
  static constexpr int kMaxFailuresInARow = 3;

  /// Receives what the compute thread makes of one track; called on that thread.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void on_generated(GeneratedChunk chunk) = 0;
    virtual void on_compute_event(SessionEvent event) = 0;
    /// The track is given another level of service; its steps are changed by the loop, its frame
    /// rate is the listener's to change.
    virtual void on_level(const LevelChange& change) = 0;
  };

  /// pipeline may be null: then tracks in passthrough mode work and others report an error. It must
  /// outlive the loop.
  explicit ComputeLoop(Pipeline* pipeline);
  ~ComputeLoop();

  struct Track;

  /// The methods below are safe from any thread but the listener's callbacks.
  /// slo: what the track promises its viewers.
  std::shared_ptr<Track> add(Listener& listener, SessionCounters& counters,
                             const Transform& transform, const Slo& slo = Slo());

  /// Returns when the listener will not be called any more.
  void remove(const std::shared_ptr<Track>& track);

  /// Gives the chunk back where the device is too busy to make anything of it and it asks to be
  /// blurred then; without that wish it is dropped.
  std::optional<Chunk> submit(const std::shared_ptr<Track>& track, Chunk chunk);

  /// Takes effect with the next chunk, or with the next one after its prompt is encoded; settings
  /// that are set meanwhile take the place of those that wait. Returns the revision that
  /// GeneratedChunk::revision reports; the settings given to add() are revision 0.
  uint64_t set_transform(const std::shared_ptr<Track>& track, const Transform& transform);

  bool chunk_waiting(const std::shared_ptr<Track>& track) const;

  bool has_model() const { return pipeline_ != nullptr; }
  /// Of the model's device, for one thread; null where there is none, or no model. Safe from any
  /// thread.
  std::unique_ptr<VideoOps> video() const { return pipeline_ ? pipeline_->video() : nullptr; }

  /// Ends the thread. Safe to call again.
  void stop();

 private:
  /// One track's chunk in a batch.
  struct Entry {
    std::shared_ptr<Track> track;
    Chunk chunk;
    ChunkPixels out;
  };
  struct Batch {
    std::vector<Entry> entries;
    std::vector<Pipeline::Job> jobs;
    std::vector<size_t> owners;  // entries that the jobs are of
    double start_ms = 0;
    size_t in_turn = 0;      // chunks that the scheduler chose
    bool under_way = false;  // in the pipeline
    std::exception_ptr error;
  };

  void run();
  void run_prompts();
  void set_pending(Track& track, const Transform& transform, uint64_t revision);
  void change_levels(double now_ms);
  std::unique_ptr<Batch> fill_batch(double now_ms);
  void take(const std::shared_ptr<Track>& track, Batch& batch);
  void start_batch(Batch& batch);
  void begin(Batch& batch, size_t entry);
  bool oldest_is_ready() const;
  void finish_oldest();
  void finish_all();
  void deliver_batch(Batch& batch);
  void judge_batch(const Batch& batch, bool ok, double busiest_ms);

  Pipeline* const pipeline_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable done_;
  std::condition_variable prompts_;
  std::vector<std::shared_ptr<Track>> tracks_;
  std::vector<std::shared_ptr<Track>> removed_;  // their model state dies on the compute thread
  SloScheduler scheduler_;
  bool stopping_ = false;

  // Used by the compute thread only; kept from batch to batch.
  std::vector<std::shared_ptr<Track>> ended_, moved_;
  std::deque<std::unique_ptr<Batch>> batches_;  // begun, the oldest first
  std::vector<std::unique_ptr<Batch>> spare_;

  std::thread thread_, prompt_thread_;
};

}  // namespace driftless
