#pragma once

// Which level of its ladder (service_level.h) each session stands on, and when it moves.
//
// Nobody takes the next kind of loss before everybody has taken the one before. Within a kind moves
// first who lost least so far, then who costs the device most (fewest people lose), then who has
// the loosest budget (lives best with it), then who came last (who is served keeps being served).
//
// Down: deadlines are really missed, by more than half of a session's recent chunks. The cost model
// says how many sessions have to move, at most one level each; then the evidence is gathered anew.
// A session that is too slow even alone on the device moves by itself. Fallback is for those who
// got next to nothing for a long while, one at a time: a few frames are better than none.
// Up: no misses for a while and, by the cost model, everything would fit with room to spare one
// level higher; the worst kind first, one session at a time. A rise that has to be taken back soon
// doubles the wait before the next one, so that the levels do not swing.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "stream/cost_model.h"
#include "stream/service_level.h"

namespace driftless {

enum class LevelCause : uint8_t {
  kOverload,    // all sessions together are too much for the device
  kSlowDevice,  // the session's own chunk takes longer than its budget
  kHeadroom,    // everything fits one level higher
  kSettings,    // other steps were asked for, so that something else or nothing is missing
};

struct LevelChange {
  size_t session = 0;
  Level from, to;
  bool down = false;
  LevelCause cause = LevelCause::kOverload;
};

/// How a chunk ended.
enum class ChunkOutcome : uint8_t { kInTime, kLate, kReplaced };

class Degradation {
 public:
  struct Config {
    int frames_per_chunk = 4;
    double smaller_area = 0;  // share of the picture at the smaller size; 0: there is none
  };
  /// What a session's pictures are, where they are not of the model's own size.
  struct Picture {
    double area = 1;          // in pictures of the model's own size
    double smaller_area = 0;  // as in Config
  };

  // Share of the device that may be promised after a step down, and after a step up. Between them
  // nothing moves.
  static constexpr double kLoadAfterDown = 0.85;
  static constexpr double kLoadAfterUp = 0.7;
  // Wait after any change before the next rise; doubled up to the longest by each relapse.
  static constexpr double kShortestRiseWaitMs = 3000;
  static constexpr double kLongestRiseWaitMs = 120'000;

  explicit Degradation(const Config& config) : config_(config) {}

  /// Sessions have small numbers, chosen by the caller; `session` must be free. steps: asked for.
  void add(size_t session, const Slo& slo, int steps);
  void remove(size_t session);

  /// Other settings. Who is at full stays at full; others keep what they have lost.
  void set_steps(size_t session, int steps);
  /// Pictures of another size from now on. Its level stays.
  void set_picture(size_t session, const Picture& picture);

  /// A chunk came from the camera, also one that is not taken.
  void on_arrival(size_t session, double now_ms);
  void on_outcome(size_t session, ChunkOutcome outcome);

  const Level& level(size_t session) const { return sessions_[session].level(); }
  /// Time from chunk to chunk at this level: as promised, longer when the camera is slower.
  double interval_ms(size_t session) const { return interval_ms(sessions_[session]); }
  /// Within which a chunk must be ready: the budget, or the interval where that is shorter, because
  /// the next chunk then replaces it.
  double patience_ms(size_t session) const { return patience_ms(sessions_[session]); }
  /// What one chunk of the session adds to a batch.
  BatchLoad load(size_t session) const { return load_of(sessions_[session]); }

  /// Share of the device that the sessions need, 1 being all of it. They fit by taking turns, or by
  /// riding together twice within the least patience (a chunk that just missed one batch waits for
  /// the next), whichever is less.
  double device_load(const CostModel& cost, double now_ms) const;

  /// The changes to make now, usually none. Valid until the next call.
  const std::vector<LevelChange>& decide(const CostModel& cost, double now_ms);

 private:
  struct Session {
    bool present = false;
    Slo slo;
    int steps = 1;
    Picture picture;
    Ladder ladder;
    size_t rung = 0;
    uint64_t joined = 0;
    double last_arrival_ms = -1e9;
    double gap_ms = 0, gap_rate = 0;  // moving mean between arrivals, and the level's rate then
    double missed = 0, served = 1;    // moving shares of recent chunks
    bool moved = false;               // in the decision under way

    const Level& level() const { return ladder[rung]; }
    const Level& next() const { return ladder[rung + 1]; }
    bool at_bottom() const { return rung + 1 == ladder.size(); }
  };

  static BatchLoad load_of(const Session& session) {
    const double area = session.level().area * session.picture.area;
    return {session.level().steps * area, area};
  }
  void change_ladder(Session& session);
  double promised_interval_ms(const Session& session) const;
  double interval_ms(const Session& session) const;
  double patience_ms(const Session& session) const;
  bool active(const Session& session, double now_ms) const;
  bool fits_alone(const Session& session, const CostModel& cost) const;
  bool fits_one_higher(Session& session, const CostModel& cost) const;
  Session* next_to_lose(double now_ms);
  Session* next_to_gain(const CostModel& cost, double now_ms);
  void climb_down(const CostModel& cost, double now_ms);
  void climb_up(const CostModel& cost, double now_ms);
  void move(Session& session, size_t rung, LevelCause cause);

  const Config config_;
  std::vector<Session> sessions_;
  std::vector<LevelChange> changes_;
  std::vector<LevelChange> by_settings_;  // to be told by the next decide()
  uint64_t joins_ = 0;
  double last_change_ms_ = -1e9, last_fall_ms_ = -1e9, last_rise_ms_ = -1e9;
  double rise_wait_ms_ = kShortestRiseWaitMs;
};

}  // namespace driftless
