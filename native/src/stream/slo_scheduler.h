#pragma once

// Decides which sessions' chunks run next, together or apart, and judges what came of it. It knows
// no clock and no thread: times come in as arguments, in milliseconds of one monotonic clock.
//
//   arrive() for each complete chunk; next() whenever the device is free; finished() when that
//   batch is done; level_changes() after it.
//
// Several devices in a row, with a batch at each, count as one: a batch costs what the busiest of
// them has it for, and is ready a learned while later.
//
// Nothing queues: a session has at most one chunk waiting, and a newer one takes its place. The
// device never idles while a chunk waits.
//
// Order: while, by the cost model, all waiting chunks can still be in time, the earliest deadline
// first. When they cannot, whoever has gone without for the longest, counted in own intervals: so
// everybody gets the same share of what was promised, and nobody waits longer than the others'
// turns.
//
// Company: a chunk joins those before it when that makes pictures come sooner on average, or when
// one after the other somebody would be late and a shared forward saves time. Never when it makes a
// member late that would have been in time, or one that is likely to arrive meanwhile with an
// earlier deadline; and never beyond the least patience among them, which bounds the delay under
// any load: a chunk that runs is ready within its interval plus the longer of that and its own
// cost.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "stream/cost_model.h"
#include "stream/degradation.h"

namespace driftless {

enum class Arrival : uint8_t {
  kWaits,
  kReplaced,  // waits, in place of one that waited before
  kRefused,   // the session is in fallback
};

/// Of one chunk that ran.
enum class Verdict : uint8_t {
  kInTime,
  kWaited,  // late: it was not begun early enough
  kSlow,    // late: it was, but took longer than expected
};

class SloScheduler {
 public:
  struct Config {
    int frames_per_chunk = 4;
    double warm_up_ms = 0;    // what one chunk of one step took before; 0 when unknown
    double smaller_area = 0;  // see Degradation
  };

  /// One session's chunk in a batch. `verdict` is valid after finished().
  struct Entry {
    size_t session = 0;
    double ready_ms = 0;  // when the chunk was complete
    Verdict verdict = Verdict::kInTime;
  };

  explicit SloScheduler(const Config& config);

  /// Returns the session's number, free again after remove(). steps: denoising steps asked for.
  size_t add(const Slo& slo, int steps, double now_ms);
  /// Its chunk, waiting or running, is forgotten; a batch that contains it may be running.
  void remove(size_t session);
  void set_steps(size_t session, int steps);
  void set_picture(size_t session, const Degradation::Picture& picture);

  Arrival arrive(size_t session, double now_ms);

  /// The batch to run now; empty when nothing waits. Valid until the next call.
  const std::vector<Entry>& next(double now_ms);
  /// The oldest batch of next() is done. ok: false when it failed, then its duration says nothing.
  /// busiest_ms: for which it kept the busiest of several devices; 0: there is only one. Valid
  /// until the next call.
  const std::vector<Entry>& finished(double now_ms, bool ok = true, double busiest_ms = 0);

  /// What to change now. Valid until the next call.
  const std::vector<LevelChange>& level_changes(double now_ms);

  const Level& level(size_t session) const { return degradation_.level(session); }
  const CostModel& cost() const { return cost_; }
  /// What the batch that finished last was expected to take.
  double expected_ms() const { return done_.expected_ms; }
  double device_load(double now_ms) const { return degradation_.device_load(cost_, now_ms); }

 private:
  struct Session {
    bool present = false, waiting = false;
    int running = 0;  // batches
    Slo slo;
    double last_arrival_ms = 0, ready_ms = 0, begun_ms = 0;
  };

  struct Batch {
    std::vector<Entry> entries;
    BatchLoad load;
    double begun_ms = 0, expected_ms = 0;
  };

  double deadline_ms(size_t session) const;
  void put_in_order(double now_ms);
  bool joins(size_t position, bool in_turn_is_fine, double now_ms) const;
  bool delays_somebody(size_t position, double end_ms, double longer_end_ms, double now_ms) const;

  CostModel cost_;
  Degradation degradation_;
  std::vector<Session> sessions_;
  // Reused from call to call.
  std::vector<size_t> order_;
  std::vector<Entry> batch_;
  BatchLoad batch_load_;
  std::deque<Batch> running_;  // the oldest first
  Batch done_;
  double passage_ms_ = 0;  // from the end of a batch's cost to its pictures, on average
};

}  // namespace driftless
