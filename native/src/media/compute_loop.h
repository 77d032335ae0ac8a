#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
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

  void submit(const std::shared_ptr<Track>& track, Chunk chunk);

  /// Takes effect with the next chunk, or with the next one after its prompt is encoded; settings
  /// that are set meanwhile take the place of those that wait. Returns the revision that
  /// GeneratedChunk::revision reports; the settings given to add() are revision 0.
  uint64_t set_transform(const std::shared_ptr<Track>& track, const Transform& transform);

  bool chunk_waiting(const std::shared_ptr<Track>& track) const;

  bool has_model() const { return pipeline_ != nullptr; }

  /// Ends the thread. Safe to call again.
  void stop();

 private:
  void run();
  void run_prompts();
  void set_pending(Track& track, const Transform& transform, uint64_t revision);
  void change_levels(double now_ms);
  void fill_batch(double now_ms);
  void take(const std::shared_ptr<Track>& track);
  bool run_batch();
  void judge_batch(bool ok);

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
  std::vector<std::shared_ptr<Track>> batch_, ended_, moved_;
  std::vector<Pipeline::Job> jobs_;
  std::vector<Track*> owners_;  // of the jobs
  double batch_start_ms_ = 0;
  size_t in_turn_ = 0;  // chunks of the batch that the scheduler chose

  std::thread thread_, prompt_thread_;
};

}  // namespace driftless
