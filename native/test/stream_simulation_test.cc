// What becomes of many sessions over minutes, in simulated time (stream_simulator.h). The standard
// device is the default model on one core: 23 ms for one chunk of one step, so it holds ten
// sessions of 16 frames a second.

#include <gtest/gtest.h>

#include <cstdio>

#include "stream_simulator.h"

namespace driftless {
namespace {

constexpr double kMinute = 60'000;
constexpr double kBudget = 150;

SimCamera camera(int steps = 1, double fps = 16, double budget_ms = kBudget) {
  SimCamera made;
  made.slo = {fps, budget_ms};
  made.steps = steps;
  made.jitter_ms = 20;
  return made;
}

std::vector<SimCamera> cameras(int count, int steps = 1) {
  return std::vector<SimCamera>(static_cast<size_t>(count), camera(steps));
}

SimDevice noisy() {
  SimDevice device;
  device.noise = 0.15;
  device.spike_share = 0.02;
  return device;
}

SimDevice slow_between(double factor, double from_ms, double until_ms) {
  SimDevice device;
  device.noise = 0.1;
  device.pace = [=](double now_ms) { return now_ms >= from_ms && now_ms < until_ms ? factor : 1; };
  return device;
}

/// Six sessions that differ in everything.
std::vector<SimCamera> mixed() {
  return {camera(1, 16, 120), camera(2, 16, 250), camera(1, 8, 400),
          camera(4, 8, 400),  camera(1, 16, 150), camera(1, 10, 200)};
}

TEST(Simulation, BelowCapacityDeadlinesAreMetAndNobodyIsTouched) {
  SimDevice device;
  device.noise = 0.1;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    for (const auto& people : {cameras(1), cameras(6), mixed()}) {
      const SimResult result = Simulation(device, people, seed).run(kMinute);
      EXPECT_TRUE(result.changes.empty()) << people.size() << " sessions, seed " << seed;
      for (const SimSession& session : result.sessions) {
        EXPECT_GE(session.in_time_share(), 0.99) << people.size() << " sessions, seed " << seed;
        EXPECT_GE(session.share(), 0.95);
      }
    }
  }
}

TEST(Simulation, StallsOfTheDeviceCostTheChunksTheyHitAndLittleElse) {
  // One batch in fifty takes five times as long, nearly the whole budget.
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const SimResult result = Simulation(noisy(), cameras(6), seed).run(kMinute);
    EXPECT_LE(result.changes.size(), 2u) << "seed " << seed;
    for (const SimSession& session : result.sessions) {
      EXPECT_GE(session.in_time_share(), 0.88) << "seed " << seed;
    }
  }
}

TEST(Simulation, ANoiselessDeviceMissesNothingUpToNineTenthsOfItsCapacity) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const SimResult result = Simulation(SimDevice(), cameras(9), seed).run(kMinute);
    for (const SimSession& session : result.sessions) {
      EXPECT_GE(session.in_time_share(), 0.99) << "seed " << seed;
    }
  }
}

// Delay of a chunk that runs: it waited at most an interval (at the lowest rate, with jitter), then
// its batch was held below the patience of its members, by an estimate that noise may exceed.
constexpr double kWorstDelay = 1.1 * (2 * 250 + 20 + kBudget);

TEST(Simulation, UnderOverloadDelaysStayBoundedAndEverybodyMovesAlike) {
  for (const int times : {2, 5}) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      const SimResult result = Simulation(SimDevice(), cameras(10 * times), seed).run(kMinute);
      EXPECT_GE(result.fairness(), 0.99) << times << " times, seed " << seed;
      for (const SimSession& session : result.sessions) {
        EXPECT_LE(session.worst_delay_ms(), kWorstDelay) << times << " times, seed " << seed;
        EXPECT_GE(session.share(), 0.9 / times) << times << " times, seed " << seed;
        EXPECT_LE(session.longest_gap_ms, 450.0 * times) << times << " times, seed " << seed;
        EXPECT_EQ(session.refused, 0u);
      }
    }
  }
}

TEST(Simulation, OverloadOfUnlikeSessionsIsSharedByPromise) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    std::vector<SimCamera> people;
    for (int i = 0; i < 5; ++i) {
      for (const SimCamera& each : mixed()) people.push_back(each);
    }
    const SimResult result = Simulation(noisy(), people, seed).run(kMinute);
    EXPECT_GE(result.fairness(), 0.9) << "seed " << seed;
    for (const SimSession& session : result.sessions) EXPECT_GE(session.share(), 0.25);
  }
}

TEST(Simulation, DelayDoesNotGrowWithTime) {
  const SimResult result = Simulation(noisy(), cameras(20), 3).run(20 * kMinute);
  for (const SimSession& session : result.sessions) {
    const auto tenth = static_cast<std::ptrdiff_t>(session.delays_ms.size() / 10);
    const auto mean = [&](auto from) {
      double sum = 0;
      for (auto it = from; it != from + tenth; ++it) sum += *it;
      return sum / static_cast<double>(tenth);
    };
    EXPECT_LT(mean(session.delays_ms.end() - tenth), 1.2 * mean(session.delays_ms.begin()) + 20);
  }
}

TEST(Simulation, ADeviceThatBecomesSlowAndRecoversTakesAndGivesBackInOrder) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SloScheduler::Config config = Simulation::warm();
    // 192x112 of the default model's 256x144.
    config.smaller_area = 192.0 * 112 / (256 * 144);
    Simulation simulation(slow_between(8, 20'000, 60'000), cameras(4, 4), seed, config);
    const SimResult result = simulation.run(5 * kMinute);
    ASSERT_FALSE(result.changes.empty());
    LevelKind deepest = LevelKind::kFull;
    for (const auto& [at_ms, change] : result.changes) {
      EXPECT_GE(at_ms, 20'000) << "seed " << seed;
      if (change.down) {
        EXPECT_LE(at_ms, 70'000) << "seed " << seed;
        EXPECT_GE(change.to.kind, change.from.kind);
        EXPECT_LE(static_cast<int>(change.to.kind) - static_cast<int>(deepest), 1)
            << "a kind was left out";
        deepest = std::max(deepest, change.to.kind);
      } else {
        EXPECT_LE(change.to.kind, change.from.kind);
      }
    }
    EXPECT_GE(deepest, LevelKind::kSmallerPicture) << "seed " << seed;
    for (size_t session = 0; session < 4; ++session) {
      EXPECT_EQ(simulation.scheduler().level(session).kind, LevelKind::kFull)
          << "session " << session << " did not recover, seed " << seed;
    }
  }
}

TEST(Simulation, NobodyLosesTheNextKindBeforeEverybodyLostTheOneBefore) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    std::vector<SimCamera> people = cameras(8);
    for (size_t i = 0; i < 4; ++i) people[i].steps = 4;
    const SimResult result = Simulation(slow_between(3, 0, 1e9), people, seed).run(kMinute / 2);
    std::vector<Level> levels(8);
    for (size_t i = 0; i < 4; ++i) levels[i].steps = 4;
    for (const SimChange& step : result.changes) {
      if (step.change.down && step.change.to.kind == LevelKind::kLowerRate) {
        for (const Level& level : levels) EXPECT_EQ(level.steps, 1) << "seed " << seed;
      }
      levels[step.change.session] = step.change.to;
    }
  }
}

TEST(Simulation, ASessionThatIsTooSlowAloneDoesNotCostTheOthers) {
  std::vector<SimCamera> people = cameras(3);
  people[1].steps = 16;  // 98 ms for a budget of 90
  people[1].slo.delay_budget_ms = 90;
  const SimResult result = Simulation(SimDevice(), people, 1).run(kMinute);
  ASSERT_FALSE(result.changes.empty());
  for (const SimChange& step : result.changes) {
    EXPECT_EQ(step.change.session, 1u);
    EXPECT_EQ(step.change.cause,
              step.change.down ? LevelCause::kSlowDevice : LevelCause::kHeadroom);
  }
}

TEST(Simulation, FallbackIsForThoseWhoGetNextToNothing) {
  const SimResult result = Simulation(SimDevice(), cameras(100), 1).run(2 * kMinute);
  size_t fallbacks = 0;
  double first_ms = 0;
  for (const SimChange& step : result.changes) {
    if (step.change.to.kind != LevelKind::kFallback) continue;
    if (fallbacks++ == 0) first_ms = step.at_ms;
  }
  EXPECT_GE(fallbacks, 3u) << "ten times the capacity, five at half the rate";
  EXPECT_GE(first_ms, 5000) << "only after a longer look";
  for (const SimSession& session : result.sessions) {
    EXPECT_LE(session.worst_delay_ms(), kWorstDelay);
  }
}

TEST(Simulation, LevelsDoNotSwing) {
  // Around the edge of the capacity, on a device that is noisy and breathes.
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SimDevice device = noisy();
    device.pace = [](double now_ms) { return 1 + 0.2 * std::sin(now_ms / 3000); };
    const SimResult result = Simulation(device, cameras(9), seed).run(10 * kMinute);
    size_t taken_back = 0;  // rises that were followed by a fall, of whomever
    bool rose = false;
    for (const SimChange& step : result.changes) {
      taken_back += rose && step.change.down;
      rose = !step.change.down;
    }
    EXPECT_LE(taken_back, 10u) << "in ten minutes, seed " << seed;
  }
}

TEST(Simulation, BurstsOfTheNetworkAreNotHeldAgainstTheDevice) {
  std::vector<SimCamera> people = cameras(4);
  for (SimCamera& each : people) each.burst_every_ms = 1200;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const SimResult result = Simulation(noisy(), people, seed).run(kMinute);
    EXPECT_TRUE(result.changes.empty()) << "seed " << seed;
    for (const SimSession& session : result.sessions) {
      EXPECT_LE(session.worst_delay_ms(), kWorstDelay) << "seed " << seed;
    }
  }
}

TEST(Simulation, SessionsJoinAndLeave) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    std::vector<SimCamera> people = cameras(6);
    for (int i = 0; i < 12; ++i) {
      SimCamera guest = camera(1 + i % 2);
      guest.join_ms = 10'000 + 700 * i;
      guest.leave_ms = 40'000 + 900 * i;
      people.push_back(guest);
    }
    Simulation simulation(noisy(), people, seed);
    const SimResult result = simulation.run(3 * kMinute);
    EXPECT_FALSE(result.changes.empty()) << "18 do not fit";
    for (const SimSession& session : result.sessions) {
      EXPECT_GE(session.share(), 0.35) << "seed " << seed;
    }
    for (size_t session = 0; session < 6; ++session) {
      EXPECT_EQ(simulation.scheduler().level(session).kind, LevelKind::kFull) << "seed " << seed;
    }
  }
}

TEST(Simulation, WhereOnlyTheForwardCostsTwelveRunOnADeviceThatHoldsFourInTurn) {
  SimDevice device;
  device.forward_ms = 56;
  device.row_ms = device.chunk_ms = 2;
  std::vector<SimCamera> people = cameras(12);
  for (SimCamera& each : people) each.slo.delay_budget_ms = 250;
  const SimResult result = Simulation(device, people, 1).run(kMinute);
  EXPECT_GT(result.mean_batch(), 2.5);
  for (const SimSession& session : result.sessions) EXPECT_GE(session.share(), 0.95);
}

TEST(Simulation, EqualSeedsGiveEqualRuns) {
  const auto fingerprint = [](uint64_t seed) {
    const SimResult result = Simulation(noisy(), cameras(14, 2), seed).run(kMinute);
    std::vector<double> numbers{result.busy_ms, static_cast<double>(result.changes.size())};
    for (const SimSession& session : result.sessions) {
      numbers.insert(numbers.end(), session.delays_ms.begin(), session.delays_ms.end());
    }
    return numbers;
  };
  EXPECT_EQ(fingerprint(5), fingerprint(5));
  EXPECT_NE(fingerprint(5), fingerprint(6));
}

// The table of docs/engine.md: run with --gtest_filter=*Table*.
TEST(Simulation, TableOfScenarios) {
  std::vector<SimCamera> guests = cameras(6);
  for (int i = 0; i < 12; ++i) {
    guests.push_back(camera());
    guests.back().join_ms = 10'000;
    guests.back().leave_ms = 30'000;
  }
  SimDevice shared;
  shared.forward_ms = 56;
  shared.row_ms = shared.chunk_ms = 2;
  std::vector<SimCamera> patient = cameras(12);
  for (SimCamera& each : patient) each.slo.delay_budget_ms = 250;
  const struct {
    const char* name;
    SimDevice device;
    std::vector<SimCamera> people;
  } scenarios[] = {
      {"3 sessions", noisy(), cameras(3)},
      {"9 sessions", noisy(), cameras(9)},
      {"20 sessions (2x)", noisy(), cameras(20)},
      {"50 sessions (5x)", noisy(), cameras(50)},
      {"6 unlike sessions", noisy(), mixed()},
      {"12 of 18 leave", noisy(), guests},
      {"5, 4x slower for 20 s", slow_between(4, 20'000, 40'000), cameras(5)},
      {"12, costly forward", shared, patient},
  };
  std::printf("%-22s %5s %6s %11s %6s %8s %9s %8s\n", "scenario", "busy", "batch", "share", "Jain",
              "in time", "worst ms", "changes");
  for (const auto& scenario : scenarios) {
    const SimResult result = Simulation(scenario.device, scenario.people, 1).run(2 * kMinute);
    double least = 1, most = 0, in_time = 0, worst = 0;
    for (const SimSession& session : result.sessions) {
      least = std::min(least, session.share());
      most = std::max(most, session.share());
      in_time += session.in_time_share() / static_cast<double>(result.sessions.size());
      worst = std::max(worst, session.worst_delay_ms());
    }
    std::printf("%-22s %5.2f %6.2f %4.2f - %4.2f %6.3f %7.1f%% %9.0f %8zu\n", scenario.name,
                result.share_of(2 * kMinute), result.mean_batch(), least, most, result.fairness(),
                100 * in_time, worst, result.changes.size());
    EXPECT_GT(least, 0.15) << scenario.name;
    EXPECT_LE(worst, 2 * kWorstDelay) << scenario.name;
  }
}

}  // namespace
}  // namespace driftless
