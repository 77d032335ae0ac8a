#pragma once

// Cameras and a device in simulated time, around the real scheduler. The device's true costs, its
// pace, its noise and the cameras' jitter are the simulation's own: the scheduler sees arrivals and
// durations only, as it does in the compute loop. Equal seeds give equal runs.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "stream/slo_scheduler.h"

namespace driftless {

struct SimCamera {
  Slo slo;
  int steps = 1;
  double join_ms = 0;
  double leave_ms = 1e18;
  double jitter_ms = 0;       // each chunk comes late by up to so much
  double burst_every_ms = 0;  // the network holds everything back for half of this, then lets go
};

struct SimDevice {
  double forward_ms = 1, row_ms = 5, chunk_ms = 17;
  std::function<double(double now_ms)> pace = [](double) { return 1.0; };
  double noise = 0;         // standard deviation of a duration, relative
  double spike_share = 0;   // of batches that ...
  double spike_factor = 5;  // ... take so many times as long (page faults, a noisy neighbour)
};

struct SimSession {
  uint64_t chunks = 0, ran = 0, in_time = 0, waited = 0, slow = 0, replaced = 0, refused = 0;
  std::vector<double> delays_ms;  // of chunks that ran
  double longest_gap_ms = 0;      // between the ends of two chunks that ran
  double last_end_ms = 0;
  double promised = 0;  // frames, at the full rate
  double share() const { return promised > 0 ? 4.0 * static_cast<double>(ran) / promised : 1; }
  double in_time_share() const {
    const double all = static_cast<double>(ran + replaced);
    return all > 0 ? static_cast<double>(in_time) / all : 1;
  }
  double worst_delay_ms() const {
    return delays_ms.empty() ? 0 : *std::max_element(delays_ms.begin(), delays_ms.end());
  }
};

struct SimChange {
  double at_ms = 0;
  LevelChange change;
};

struct SimResult {
  std::vector<SimSession> sessions;
  std::vector<SimChange> changes;
  uint64_t batches = 0, batched_chunks = 0;
  double busy_ms = 0;
  double share_of(double total_ms) const { return busy_ms / total_ms; }
  double mean_batch() const {
    return static_cast<double>(batched_chunks) / static_cast<double>(batches);
  }
  /// Jain's index of what the sessions got of their promise: 1 when all got the same share.
  double fairness() const {
    double sum = 0, squares = 0;
    for (const SimSession& session : sessions) {
      sum += session.share();
      squares += session.share() * session.share();
    }
    return sum * sum / (static_cast<double>(sessions.size()) * squares);
  }
};

class Simulation {
 public:
  Simulation(SimDevice device, std::vector<SimCamera> cameras, uint64_t seed,
             SloScheduler::Config config = warm())
      : device_(std::move(device)), scheduler_(config), random_(seed) {
    result_.sessions.resize(cameras.size());
    for (SimCamera& camera : cameras) cameras_.push_back({std::move(camera)});
  }

  /// A scheduler that knows what one chunk of the standard device takes.
  static SloScheduler::Config warm() {
    SloScheduler::Config config;
    config.warm_up_ms = 23;
    return config;
  }

  SimResult run(double until_ms) {
    for (size_t c = 0; c < cameras_.size(); ++c) {
      Camera& camera = cameras_[c];
      camera.due_ms = camera.made.join_ms + interval_ms(camera) * (1 + uniform());
      camera.comes_ms = arrival_ms(camera);
      result_.sessions[c].last_end_ms = camera.made.join_ms;
      result_.sessions[c].promised =
          (std::min(until_ms, camera.made.leave_ms) - camera.made.join_ms) * camera.made.slo.fps /
          1000;
    }
    for (;;) {
      const size_t camera = next_camera();
      const bool device_first = running_ && ends_ms_ <= cameras_[camera].event_ms();
      const double now_ms = device_first ? ends_ms_ : cameras_[camera].event_ms();
      if (now_ms >= until_ms) break;
      if (device_first) {
        finish(now_ms);
      } else {
        step(camera, now_ms);
      }
      if (!running_) start(now_ms);
    }
    return result_;
  }

  const SloScheduler& scheduler() const { return scheduler_; }

 private:
  struct Camera {
    SimCamera made;
    size_t session = 0;
    bool joined = false, left = false;
    double due_ms = 0, comes_ms = 0;

    double event_ms() const {
      if (left) return 1e18;
      return joined ? std::min(comes_ms, made.leave_ms) : made.join_ms;
    }
  };

  double uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  double normal() {
    return std::sqrt(-2 * std::log(1 - uniform())) * std::cos(2 * 3.14159265358979 * uniform());
  }

  double interval_ms(const Camera& camera) const {
    const double rate = camera.joined ? scheduler_.level(camera.session).rate : 1;
    return 4 * 1000 / (camera.made.slo.fps * rate);
  }

  double arrival_ms(const Camera& camera) {
    double at = camera.due_ms + camera.made.jitter_ms * uniform();
    if (const double period = camera.made.burst_every_ms; period > 0) {
      const double phase = std::fmod(at, period);
      if (phase > period / 2) at += period - phase;
    }
    return at;
  }

  size_t next_camera() const {
    const auto earlier = [](const Camera& a, const Camera& b) {
      return a.event_ms() < b.event_ms();
    };
    return static_cast<size_t>(std::min_element(cameras_.begin(), cameras_.end(), earlier) -
                               cameras_.begin());
  }

  void step(size_t index, double now_ms) {
    Camera& camera = cameras_[index];
    SimSession& seen = result_.sessions[index];
    if (!camera.joined) {
      camera.session = scheduler_.add(camera.made.slo, camera.made.steps, now_ms);
      camera.joined = true;
      return;
    }
    if (now_ms >= camera.made.leave_ms) {
      scheduler_.remove(camera.session);
      camera.left = true;
      return;
    }
    ++seen.chunks;
    const Arrival arrival = scheduler_.arrive(camera.session, now_ms);
    seen.replaced += arrival == Arrival::kReplaced;
    seen.refused += arrival == Arrival::kRefused;
    camera.due_ms += interval_ms(camera);
    camera.comes_ms = std::max(now_ms, arrival_ms(camera));
  }

  void start(double now_ms) {
    const auto& batch = scheduler_.next(now_ms);
    if (batch.empty()) return;
    double rows = 0;
    for (const auto& entry : batch) rows += scheduler_.level(entry.session).steps;
    const double chunks = static_cast<double>(batch.size());
    double duration = device_.forward_ms + device_.row_ms * rows + device_.chunk_ms * chunks;
    duration *= device_.pace(now_ms) * std::max(0.5, 1 + device_.noise * normal());
    if (device_.spike_share > 0 && uniform() < device_.spike_share) {
      duration *= device_.spike_factor;
    }
    running_ = true;
    ends_ms_ = now_ms + duration;
    ++result_.batches;
    result_.batched_chunks += batch.size();
    result_.busy_ms += duration;
  }

  void finish(double now_ms) {
    running_ = false;
    for (const auto& entry : scheduler_.finished(now_ms)) {
      for (size_t c = 0; c < cameras_.size(); ++c) {
        const Camera& camera = cameras_[c];
        if (!camera.joined || camera.left || camera.session != entry.session) continue;
        SimSession& seen = result_.sessions[c];
        ++seen.ran;
        seen.in_time += entry.verdict == Verdict::kInTime;
        seen.waited += entry.verdict == Verdict::kWaited;
        seen.slow += entry.verdict == Verdict::kSlow;
        seen.delays_ms.push_back(now_ms - entry.ready_ms);
        seen.longest_gap_ms = std::max(seen.longest_gap_ms, now_ms - seen.last_end_ms);
        seen.last_end_ms = now_ms;
      }
    }
    for (const LevelChange& change : scheduler_.level_changes(now_ms)) {
      result_.changes.push_back({now_ms, change});
    }
  }

  SimDevice device_;
  SloScheduler scheduler_;
  std::mt19937_64 random_;
  std::vector<Camera> cameras_;
  SimResult result_;
  bool running_ = false;
  double ends_ms_ = 0;
};

}  // namespace driftless
