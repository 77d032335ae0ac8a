#include "stream/slo_scheduler.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "core/error.h"

namespace driftless {

namespace {

// What a chunk must save of its own cost by joining a batch when time is short.
constexpr double kLeastGain = 0.01;

// Of the newest batch in the average time of passage.
constexpr double kPassageWeight = 0.1;

}  // namespace

SloScheduler::SloScheduler(const Config& config)
    : cost_(config.warm_up_ms),
      degradation_(Degradation::Config{config.frames_per_chunk, config.smaller_area}) {}

size_t SloScheduler::add(const Slo& slo, int steps, double now_ms) {
  size_t session = 0;
  while (session < sessions_.size() &&
         (sessions_[session].present || sessions_[session].running > 0)) {
    ++session;
  }
  if (session == sessions_.size()) {
    sessions_.emplace_back();
    order_.reserve(sessions_.size());
    batch_.reserve(sessions_.size());
  }
  sessions_[session] = Session();
  sessions_[session].present = true;
  sessions_[session].slo = slo;
  sessions_[session].begun_ms = sessions_[session].last_arrival_ms = now_ms;
  degradation_.add(session, slo, steps);
  return session;
}

void SloScheduler::remove(size_t session) {
  sessions_[session].present = sessions_[session].waiting = false;
  degradation_.remove(session);
}

void SloScheduler::set_steps(size_t session, int steps) { degradation_.set_steps(session, steps); }

void SloScheduler::set_picture(size_t session, const Degradation::Picture& picture) {
  degradation_.set_picture(session, picture);
}

Arrival SloScheduler::arrive(size_t session, double now_ms) {
  Session& own = sessions_[session];
  degradation_.on_arrival(session, now_ms);
  own.last_arrival_ms = now_ms;
  if (level(session).kind == LevelKind::kFallback) {
    own.waiting = false;
    return Arrival::kRefused;
  }
  const bool replaced = std::exchange(own.waiting, true);
  // Chunks that come in a bunch are the network's doing, not the device's.
  if (replaced && now_ms - own.ready_ms >= degradation_.patience_ms(session) / 2) {
    degradation_.on_outcome(session, ChunkOutcome::kReplaced);
  }
  own.ready_ms = now_ms;
  return replaced ? Arrival::kReplaced : Arrival::kWaits;
}

double SloScheduler::deadline_ms(size_t session) const {
  return sessions_[session].ready_ms + degradation_.patience_ms(session) - passage_ms_;
}

void SloScheduler::put_in_order(double now_ms) {
  order_.clear();
  for (size_t s = 0; s < sessions_.size(); ++s) {
    if (sessions_[s].waiting) order_.push_back(s);
  }
  const auto by_deadline = [this](size_t a, size_t b) {
    const double first = deadline_ms(a), second = deadline_ms(b);
    return first != second ? first < second : a < b;
  };
  std::sort(order_.begin(), order_.end(), by_deadline);
  // The first k chunks together take no longer in any other way than as one batch: whoever is late
  // even so cannot be helped by any order.
  BatchLoad together;
  const bool all_in_time = std::all_of(order_.begin(), order_.end(), [&](size_t session) {
    together = together + degradation_.load(session);
    return now_ms + cost_.expected_ms(together) <= deadline_ms(session);
  });
  if (all_in_time) return;
  const auto gone_without = [&](size_t session) {
    return (now_ms - sessions_[session].begun_ms) / degradation_.interval_ms(session);
  };
  std::sort(order_.begin(), order_.end(), [&](size_t a, size_t b) {
    const double first = gone_without(a), second = gone_without(b);
    return first != second ? first > second : by_deadline(a, b);
  });
}

const std::vector<SloScheduler::Entry>& SloScheduler::next(double now_ms) {
  batch_.clear();
  batch_load_ = {};
  put_in_order(now_ms);
  if (order_.empty()) return batch_;

  double turn_ms = now_ms;
  const bool in_turn_is_fine = std::all_of(order_.begin(), order_.end(), [&](size_t session) {
    turn_ms += cost_.upper_ms(degradation_.load(session));
    return turn_ms <= deadline_ms(session);
  });
  for (size_t position = 0; position < order_.size(); ++position) {
    if (position > 0 && !joins(position, in_turn_is_fine, now_ms)) continue;
    const size_t session = order_[position];
    batch_.push_back({session, sessions_[session].ready_ms, Verdict::kInTime});
    batch_load_ = batch_load_ + degradation_.load(session);
  }
  for (const Entry& entry : batch_) {
    Session& session = sessions_[entry.session];
    session.waiting = false;
    ++session.running;
    session.begun_ms = now_ms;
  }
  running_.push_back({batch_, batch_load_, now_ms, cost_.expected_ms(batch_load_)});
  return batch_;
}

// Whether the chunk at this position of the order is to run with those chosen so far.
bool SloScheduler::joins(size_t position, bool in_turn_is_fine, double now_ms) const {
  const size_t candidate = order_[position];
  const BatchLoad own = degradation_.load(candidate);
  const BatchLoad with = batch_load_ + own;
  const double own_ms = cost_.expected_ms(own);
  const double longer_by_ms = cost_.expected_ms(with) - cost_.expected_ms(batch_load_);
  // Joining delays each of the n members by `longer_by`, and spares the candidate its own turn.
  const double members = static_cast<double>(batch_.size());
  const double most = in_turn_is_fine ? own_ms / (members + 1) : (1 - kLeastGain) * own_ms;
  if (longer_by_ms > most) return false;

  const double end_ms = now_ms + cost_.upper_ms(batch_load_);
  const double longer_end_ms = now_ms + cost_.upper_ms(with);
  double patience = degradation_.patience_ms(candidate);
  for (const Entry& member : batch_) {
    patience = std::min(patience, degradation_.patience_ms(member.session));
    const double deadline = deadline_ms(member.session);
    if (end_ms <= deadline && deadline < longer_end_ms) return false;
  }
  return longer_end_ms - now_ms <= patience &&
         !delays_somebody(position, end_ms, longer_end_ms, now_ms);
}

// Whether somebody outside the batch, who would come before the candidate, could begin in time
// after the batch without it, but not after the batch with it.
bool SloScheduler::delays_somebody(size_t position, double end_ms, double longer_end_ms,
                                   double now_ms) const {
  const size_t candidate = order_[position];
  for (size_t s = 0; s < sessions_.size(); ++s) {
    const Session& session = sessions_[s];
    if (!session.present || s == candidate || level(s).kind == LevelKind::kFallback) continue;
    double deadline = 0;
    if (session.waiting) {
      const auto end = order_.begin() + static_cast<std::ptrdiff_t>(position);
      const bool passed_over = std::find(order_.begin(), end, s) != end &&
                               std::none_of(batch_.begin(), batch_.end(),
                                            [&](const Entry& entry) { return entry.session == s; });
      if (!passed_over) continue;
      deadline = deadline_ms(s);
    } else {
      const double interval = degradation_.interval_ms(s);
      const double arrival = session.last_arrival_ms + interval;
      // Longer overdue than an interval: nobody knows when it comes.
      if (arrival + interval < now_ms) continue;
      deadline = std::max(arrival, now_ms) + degradation_.patience_ms(s) - passage_ms_;
    }
    if (deadline >= deadline_ms(candidate)) continue;
    const double latest_start = deadline - cost_.upper_ms(degradation_.load(s));
    if (end_ms <= latest_start && latest_start < longer_end_ms) return true;
  }
  return false;
}

const std::vector<SloScheduler::Entry>& SloScheduler::finished(double now_ms, bool ok,
                                                               double busiest_ms) {
  DL_CHECK(!running_.empty(), "finished batch", "one of next()", "none");
  done_ = std::move(running_.front());
  running_.pop_front();
  for (Entry& entry : done_.entries) {
    Session& session = sessions_[entry.session];
    --session.running;
    if (!session.present) continue;
    const double deadline = entry.ready_ms + session.slo.delay_budget_ms;
    if (now_ms > deadline) {
      entry.verdict = done_.begun_ms + done_.expected_ms + passage_ms_ > deadline ? Verdict::kWaited
                                                                                  : Verdict::kSlow;
    }
    degradation_.on_outcome(entry.session, entry.verdict == Verdict::kInTime ? ChunkOutcome::kInTime
                                                                             : ChunkOutcome::kLate);
  }
  const double took_ms = now_ms - done_.begun_ms;
  if (ok) cost_.observe(done_.load, busiest_ms > 0 ? busiest_ms : took_ms);
  if (ok && busiest_ms > 0) {
    passage_ms_ += kPassageWeight * (std::max(0.0, took_ms - busiest_ms) - passage_ms_);
  }
  return done_.entries;
}

const std::vector<LevelChange>& SloScheduler::level_changes(double now_ms) {
  const std::vector<LevelChange>& changes = degradation_.decide(cost_, now_ms);
  for (const LevelChange& change : changes) {
    if (change.to.kind == LevelKind::kFallback) sessions_[change.session].waiting = false;
  }
  return changes;
}

}  // namespace driftless
