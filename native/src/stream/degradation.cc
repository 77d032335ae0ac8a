#include "stream/degradation.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace driftless {

namespace {

// A camera that sent no chunk for so many intervals needs nothing from the device.
constexpr double kGoneIntervals = 4;
// Weight of the newest chunk in the moving shares: six misses in a row make more than half.
constexpr double kMissedWeight = 0.12;
constexpr double kServedWeight = 0.1;
constexpr double kGapWeight = 0.2;
constexpr double kMissedTooMany = 0.5;
constexpr double kMissedFew = 0.1;
// Time in which a change shows its effect.
constexpr double kSettleMs = 1000;
// Fallback is for who gets less than this share of an already lowered rate, after a longer look.
constexpr double kServedNextToNothing = 0.25;
constexpr double kFallbackWaitMs = 5000;
// A fall so soon after a rise takes it back.
constexpr double kRelapseMs = 30'000;

}  // namespace

void Degradation::add(size_t session, const Slo& slo, int steps) {
  if (session >= sessions_.size()) {
    sessions_.resize(session + 1);
    changes_.reserve(sessions_.size());
  }
  Session& own = sessions_[session];
  own = Session();
  own.present = true;
  own.slo = slo;
  own.steps = steps;
  own.picture.smaller_area = config_.smaller_area;
  own.ladder = Ladder(steps, config_.smaller_area);
  own.joined = joins_++;
}

void Degradation::remove(size_t session) {
  sessions_[session].present = false;
  const auto of_session = [=](const LevelChange& change) { return change.session == session; };
  by_settings_.erase(std::remove_if(by_settings_.begin(), by_settings_.end(), of_session),
                     by_settings_.end());
}

void Degradation::set_steps(size_t session, int steps) {
  sessions_[session].steps = steps;
  change_ladder(sessions_[session]);
}

void Degradation::set_picture(size_t session, const Picture& picture) {
  sessions_[session].picture = picture;
  change_ladder(sessions_[session]);
}

void Degradation::change_ladder(Session& own) {
  const Level before = own.level();
  own.ladder = Ladder(own.steps, own.picture.smaller_area);
  own.rung = own.ladder.rung_of(before);
  if (own.level().kind == before.kind) return;
  LevelChange change;
  change.session = static_cast<size_t>(&own - sessions_.data());
  change.from = before;
  change.to = own.level();
  change.down = own.level().kind > before.kind;
  change.cause = LevelCause::kSettings;
  by_settings_.push_back(change);
}

void Degradation::on_arrival(size_t session, double now_ms) {
  Session& own = sessions_[session];
  const double gap = now_ms - own.last_arrival_ms;
  if (gap < kGoneIntervals * promised_interval_ms(own)) {
    const bool first = own.gap_rate != own.level().rate;
    own.gap_ms = first ? gap : own.gap_ms + kGapWeight * (gap - own.gap_ms);
    own.gap_rate = own.level().rate;
  }
  own.last_arrival_ms = now_ms;
}

void Degradation::on_outcome(size_t session, ChunkOutcome outcome) {
  Session& own = sessions_[session];
  own.missed += kMissedWeight * ((outcome == ChunkOutcome::kInTime ? 0 : 1) - own.missed);
  own.served += kServedWeight * ((outcome == ChunkOutcome::kReplaced ? 0 : 1) - own.served);
}

double Degradation::promised_interval_ms(const Session& session) const {
  return config_.frames_per_chunk * 1000 / (session.slo.fps * session.level().rate);
}

double Degradation::interval_ms(const Session& session) const {
  const double promised = promised_interval_ms(session);
  return session.gap_rate == session.level().rate ? std::max(promised, session.gap_ms) : promised;
}

double Degradation::patience_ms(const Session& session) const {
  return std::min(session.slo.delay_budget_ms, interval_ms(session));
}

bool Degradation::active(const Session& session, double now_ms) const {
  return session.present &&
         now_ms - session.last_arrival_ms <= kGoneIntervals * interval_ms(session);
}

bool Degradation::fits_alone(const Session& session, const CostModel& cost) const {
  return cost.upper_ms(load_of(session)) <= patience_ms(session);
}

bool Degradation::fits_one_higher(Session& session, const CostModel& cost) const {
  --session.rung;
  const bool fits = fits_alone(session, cost);
  ++session.rung;
  return fits;
}

double Degradation::device_load(const CostModel& cost, double now_ms) const {
  double in_turn = 0, least_patience = std::numeric_limits<double>::infinity();
  BatchLoad everybody;
  for (const Session& session : sessions_) {
    if (!active(session, now_ms) || session.level().kind == LevelKind::kFallback) continue;
    const BatchLoad load = load_of(session);
    everybody = everybody + load;
    in_turn += cost.expected_ms(load) / interval_ms(session);
    least_patience = std::min(least_patience, patience_ms(session));
  }
  return std::min(in_turn, 2 * cost.expected_ms(everybody) / least_patience);
}

const std::vector<LevelChange>& Degradation::decide(const CostModel& cost, double now_ms) {
  changes_.clear();
  if (!by_settings_.empty()) {
    changes_.swap(by_settings_);
    return changes_;
  }
  if (now_ms - last_change_ms_ >= kSettleMs) climb_down(cost, now_ms);
  if (changes_.empty() && now_ms - last_change_ms_ >= rise_wait_ms_) climb_up(cost, now_ms);
  if (changes_.empty()) return changes_;
  last_change_ms_ = now_ms;
  // What was seen before says nothing about the new levels.
  for (Session& session : sessions_) {
    session.missed = 0;
    session.served = 1;
    session.moved = false;
  }
  return changes_;
}

void Degradation::climb_down(const CostModel& cost, double now_ms) {
  bool pressed = false;
  for (Session& session : sessions_) {
    if (!session.present || session.missed <= kMissedTooMany) continue;
    pressed = true;
    if (session.at_bottom() || session.next().kind == LevelKind::kFallback) continue;
    if (!fits_alone(session, cost)) move(session, session.rung + 1, LevelCause::kSlowDevice);
  }
  if (!pressed) return;
  // Evidence beats the model: somebody moves even if by its numbers everything fits.
  while (changes_.empty() || device_load(cost, now_ms) > kLoadAfterDown) {
    Session* session = next_to_lose(now_ms);
    if (session == nullptr) break;
    move(*session, session->rung + 1, LevelCause::kOverload);
  }
  if (changes_.empty()) return;
  if (now_ms - last_rise_ms_ < kRelapseMs) {
    rise_wait_ms_ = std::min(2 * rise_wait_ms_, kLongestRiseWaitMs);
  }
  last_fall_ms_ = now_ms;
}

Degradation::Session* Degradation::next_to_lose(double now_ms) {
  LevelKind kind = LevelKind::kFallback;
  for (const Session& session : sessions_) {
    if (active(session, now_ms) && !session.at_bottom()) kind = std::min(kind, session.next().kind);
  }
  const bool may_fall_back = changes_.empty() && now_ms - last_change_ms_ >= kFallbackWaitMs;
  Session* chosen = nullptr;
  std::tuple<double, double, double, uint64_t> best;
  for (Session& session : sessions_) {
    if (!active(session, now_ms) || session.at_bottom() || session.next().kind != kind) continue;
    // One level in a decision: the next one has to wait until this one was seen to work.
    if (session.moved) continue;
    if (kind == LevelKind::kFallback && !(may_fall_back && session.served < kServedNextToNothing)) {
      continue;
    }
    const Level& level = session.level();
    const std::tuple<double, double, double, uint64_t> order{
        level.rate, load_of(session).rows / interval_ms(session), session.slo.delay_budget_ms,
        session.joined};
    if (chosen == nullptr || order > best) {
      chosen = &session;
      best = order;
    }
  }
  return chosen;
}

Degradation::Session* Degradation::next_to_gain(const CostModel& cost, double now_ms) {
  LevelKind kind = LevelKind::kFull;
  for (Session& session : sessions_) {
    // Who would be too slow even alone holds nobody back.
    if (active(session, now_ms) && session.rung > 0 && fits_one_higher(session, cost)) {
      kind = std::max(kind, session.level().kind);
    }
  }
  Session* chosen = nullptr;
  std::tuple<double, double, uint64_t> best;
  for (Session& session : sessions_) {
    if (!active(session, now_ms) || session.rung == 0 || session.level().kind != kind ||
        !fits_one_higher(session, cost)) {
      continue;
    }
    --session.rung;
    const double load = device_load(cost, now_ms);
    ++session.rung;
    const std::tuple<double, double, uint64_t> order{session.level().rate, load, session.joined};
    if (load <= kLoadAfterUp && (chosen == nullptr || order < best)) {
      chosen = &session;
      best = order;
    }
  }
  return chosen;
}

void Degradation::climb_up(const CostModel& cost, double now_ms) {
  for (const Session& session : sessions_) {
    if (session.present && session.missed > kMissedFew) return;
  }
  Session* session = next_to_gain(cost, now_ms);
  if (session == nullptr) return;
  move(*session, session->rung - 1, LevelCause::kHeadroom);
  const bool last_one_held = last_fall_ms_ < last_rise_ms_;
  if (last_one_held && now_ms - last_rise_ms_ >= kRelapseMs) {
    rise_wait_ms_ = std::max(rise_wait_ms_ / 2, kShortestRiseWaitMs);
  }
  last_rise_ms_ = now_ms;
}

void Degradation::move(Session& session, size_t rung, LevelCause cause) {
  LevelChange change;
  change.session = static_cast<size_t>(&session - sessions_.data());
  change.from = session.level();
  change.down = rung > session.rung;
  change.cause = cause;
  session.rung = rung;
  change.to = session.level();
  session.moved = true;
  changes_.push_back(change);
}

}  // namespace driftless
