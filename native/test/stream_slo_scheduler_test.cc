// The scheduler's decisions one by one, on a device whose costs it knows. What becomes of many
// sessions over minutes is in stream_simulation_test.cc.

#include <gtest/gtest.h>

#include <vector>

#include "stream/slo_scheduler.h"

namespace driftless {
namespace {

/// 100 ms for one chunk of one step. kTurns: a batch saves little. kShared: it saves nearly all.
enum class Device { kTurns, kShared };

SloScheduler scheduler_for(Device device) {
  SloScheduler::Config config;
  config.warm_up_ms = 100;
  SloScheduler scheduler(config);
  // Teach it by batches of one and two: in turn the second would be late, by its first estimates.
  const double forward = device == Device::kShared ? 90 : 5, each = 100 - forward;
  std::vector<size_t> sessions;
  for (int i = 0; i < 2; ++i) sessions.push_back(scheduler.add({4, 236}, 1, 0));
  double now = 0;
  for (int i = 0; i < 40; ++i, now += 1000) {
    scheduler.arrive(sessions[0], now);
    if (i % 2 == 1) scheduler.arrive(sessions[1], now);
    const double chunks = static_cast<double>(scheduler.next(now).size());
    scheduler.finished(now + forward + each * chunks);
    while (!scheduler.next(now + 500).empty()) scheduler.finished(now + 500 + forward + each);
  }
  for (const size_t session : sessions) scheduler.remove(session);
  return scheduler;
}

constexpr double kStart = 1e6;  // after the lessons

std::vector<size_t> ids(const std::vector<SloScheduler::Entry>& batch) {
  std::vector<size_t> sessions;
  for (const auto& entry : batch) sessions.push_back(entry.session);
  return sessions;
}

TEST(Scheduler, HoldsOneChunkOfASessionAndTakesTheNewest) {
  SloScheduler scheduler = scheduler_for(Device::kTurns);
  const size_t a = scheduler.add({16, 200}, 1, kStart);
  EXPECT_EQ(scheduler.arrive(a, kStart), Arrival::kWaits);
  EXPECT_EQ(scheduler.arrive(a, kStart + 50), Arrival::kReplaced);
  const auto batch = scheduler.next(kStart + 60);
  ASSERT_EQ(batch.size(), 1u);
  EXPECT_EQ(batch[0].ready_ms, kStart + 50);
  EXPECT_EQ(scheduler.arrive(a, kStart + 100), Arrival::kWaits) << "the other one is running";
  scheduler.finished(kStart + 160);
  EXPECT_EQ(scheduler.next(kStart + 160).size(), 1u);
  scheduler.finished(kStart + 260);
  EXPECT_TRUE(scheduler.next(kStart + 260).empty());
}

TEST(Scheduler, RunsTheEarliestDeadlineFirst) {
  SloScheduler scheduler = scheduler_for(Device::kTurns);
  const size_t loose = scheduler.add({4, 900}, 1, kStart);
  const size_t tight = scheduler.add({4, 300}, 1, kStart);
  scheduler.arrive(loose, kStart);
  scheduler.arrive(tight, kStart + 10);
  EXPECT_EQ(ids(scheduler.next(kStart + 10)), std::vector<size_t>{tight});
}

TEST(Scheduler, RunsTogetherWhatComesSoonerThatWay) {
  for (const Device device : {Device::kTurns, Device::kShared}) {
    SloScheduler scheduler = scheduler_for(device);
    for (int i = 0; i < 3; ++i) scheduler.arrive(scheduler.add({4, 900}, 1, kStart), kStart);
    EXPECT_EQ(scheduler.next(kStart).size(), device == Device::kShared ? 3u : 1u);
  }
}

TEST(Scheduler, RunsTogetherWhatWouldBeLateInTurn) {
  SloScheduler scheduler = scheduler_for(Device::kTurns);
  // In turn the third would be ready after 300 ms or, by the careful estimate, later; together all
  // are after 290.
  for (int i = 0; i < 3; ++i) scheduler.arrive(scheduler.add({4, 296}, 1, kStart), kStart);
  EXPECT_EQ(scheduler.next(kStart).size(), 3u);
}

TEST(Scheduler, NobodyIsLateForTheSakeOfABiggerBatch) {
  SloScheduler scheduler = scheduler_for(Device::kShared);
  const size_t tight = scheduler.add({4, 115}, 1, kStart);
  const size_t loose = scheduler.add({4, 900}, 1, kStart);
  scheduler.arrive(tight, kStart);
  scheduler.arrive(loose, kStart);
  EXPECT_EQ(ids(scheduler.next(kStart)), (std::vector<size_t>{tight, loose})) << "110 ms for both";
  scheduler.finished(kStart + 110);
  scheduler.arrive(tight, kStart + 1000);
  scheduler.arrive(loose, kStart + 1000);
  EXPECT_EQ(ids(scheduler.next(kStart + 1010)), std::vector<size_t>{tight}) << "105 ms are left";
}

TEST(Scheduler, ABatchLeavesRoomForAnUrgentChunkThatIsExpected) {
  SloScheduler scheduler = scheduler_for(Device::kTurns);
  const double now = kStart + 1000;
  const size_t urgent = scheduler.add({16, 110}, 1, kStart);
  std::vector<size_t> patient;
  for (int i = 0; i < 3; ++i) patient.push_back(scheduler.add({4, 500}, 1, kStart));
  scheduler.arrive(urgent, now - 110);
  scheduler.next(now - 110);
  scheduler.finished(now - 10);
  // In turn the third of the patient ones would be ready after 300 ms, three too late; together
  // they are after 290. But the urgent one, expected in 140 ms, has to begin before 150.
  for (const size_t session : patient) scheduler.arrive(session, now + 297 - 500);
  EXPECT_EQ(scheduler.next(now).size(), 1u);
  scheduler.finished(now + 100);
  while (!scheduler.next(now + 100).empty()) scheduler.finished(now + 200);
  scheduler.remove(urgent);
  for (const size_t session : patient) scheduler.arrive(session, now + 1000 + 297 - 500);
  EXPECT_EQ(scheduler.next(now + 1000).size(), 3u) << "without it nothing speaks against company";
}

TEST(Scheduler, WhenSomeMustBeLateWhoWentWithoutForLongestComesFirst) {
  SloScheduler scheduler = scheduler_for(Device::kTurns);
  const size_t rare = scheduler.add({8, 500}, 1, kStart);    // every 500 ms
  const size_t often = scheduler.add({16, 250}, 1, kStart);  // every 250 ms
  // A neighbour takes the device for 900 ms while both are running.
  for (const size_t session : {rare, often}) scheduler.arrive(session, kStart);
  while (!scheduler.next(kStart).empty()) scheduler.finished(kStart + 100);
  scheduler.arrive(rare, kStart + 500);
  for (const double at : {250, 500, 750}) scheduler.arrive(often, kStart + at);
  // The rare one's deadline (1000) is no later than the other's, and both will be late. Both went
  // 950 ms without: not even two intervals of the rare one, nearly four of the other.
  EXPECT_EQ(scheduler.next(kStart + 950).front().session, often);
}

TEST(Scheduler, ARemovedSessionsChunkEndsWithoutAVerdictAndItsNumberIsFreeAfterwards) {
  SloScheduler scheduler = scheduler_for(Device::kTurns);
  const size_t gone = scheduler.add({16, 200}, 1, kStart);
  scheduler.arrive(gone, kStart);
  scheduler.next(kStart);
  scheduler.remove(gone);
  const size_t other = scheduler.add({16, 200}, 1, kStart);
  EXPECT_NE(other, gone) << "its batch is still running";
  scheduler.finished(kStart + 5000);
  EXPECT_EQ(scheduler.add({16, 200}, 1, kStart), gone);
  EXPECT_TRUE(scheduler.next(kStart + 5000).empty());
}

TEST(Scheduler, SaysWhyAChunkWasLate) {
  SloScheduler scheduler = scheduler_for(Device::kTurns);
  const size_t session = scheduler.add({4, 150}, 1, kStart);
  const auto verdict = [&](double ready, double begun, double ended) {
    scheduler.arrive(session, kStart + ready);
    scheduler.next(kStart + begun);
    return scheduler.finished(kStart + ended)[0].verdict;
  };
  EXPECT_EQ(verdict(0, 0, 150), Verdict::kInTime);
  EXPECT_EQ(verdict(1000, 1000, 1151), Verdict::kSlow);
  EXPECT_EQ(verdict(2000, 2100, 2151), Verdict::kWaited);
}

TEST(Scheduler, AFailedBatchTeachesNothing) {
  SloScheduler scheduler = scheduler_for(Device::kTurns);
  const size_t session = scheduler.add({4, 150}, 1, kStart);
  const double before = scheduler.cost().expected_ms({1, 1});
  for (int i = 0; i < 9; ++i) {
    scheduler.arrive(session, kStart + 1000 * i);
    scheduler.next(kStart + 1000 * i);
    scheduler.finished(kStart + 1000 * i + 1, false);
  }
  EXPECT_EQ(scheduler.cost().expected_ms({1, 1}), before);
}

TEST(Scheduler, TellsWhenOtherSettingsEndALoss) {
  SloScheduler scheduler = scheduler_for(Device::kTurns);
  const size_t session = scheduler.add({4, 20}, 2, kStart);  // 20 ms for 100 and more
  double now = kStart;
  while (scheduler.level(session).kind == LevelKind::kFull && now < kStart + 60'000) {
    scheduler.arrive(session, now += 1000);
    scheduler.next(now);
    scheduler.finished(now + 130);
    scheduler.level_changes(now + 130);
  }
  ASSERT_EQ(scheduler.level(session).kind, LevelKind::kFewerSteps);
  scheduler.set_steps(session, 1);
  const auto changes = scheduler.level_changes(now + 200);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].to.kind, LevelKind::kFull) << "one step is all that is asked for";
  EXPECT_EQ(changes[0].cause, LevelCause::kSettings);
  EXPECT_FALSE(changes[0].down);
  EXPECT_TRUE(scheduler.level_changes(now + 200).empty());
}

TEST(Ladder, LosesStepsThenRateThenSizeThenEverything) {
  const Ladder ladder(4, 0.5);
  std::vector<LevelKind> kinds;
  for (size_t rung = 0; rung < ladder.size(); ++rung) kinds.push_back(ladder[rung].kind);
  using K = LevelKind;
  EXPECT_EQ(kinds, (std::vector<K>{K::kFull, K::kFewerSteps, K::kFewerSteps, K::kLowerRate,
                                   K::kLowerRate, K::kSmallerPicture, K::kFallback}));
  for (size_t rung = 1; rung < ladder.size(); ++rung) {
    EXPECT_LE(ladder[rung].steps, ladder[rung - 1].steps);
    EXPECT_LE(ladder[rung].rate, ladder[rung - 1].rate);
    EXPECT_LE(ladder[rung].area, ladder[rung - 1].area);
  }
  EXPECT_EQ(ladder[2].steps, 1);
  EXPECT_EQ(ladder[4].rate, 0.5);
  EXPECT_EQ(Ladder(64, 0.5).size(), 11u);
  EXPECT_EQ(Ladder(1, 0).size(), 4u) << "full, two rates, fallback";
}

TEST(Ladder, OtherSettingsNeitherGiveBackNorTakeWhatWasLost) {
  const Ladder four(4, 0), one(1, 0);
  EXPECT_EQ(four.rung_of(one[0]), 0u) << "full stays full";
  EXPECT_EQ(four[four.rung_of(four[2])].steps, 1);
  EXPECT_EQ(one.rung_of(four[1]), 0u) << "one step asked for: nothing is missing";
  EXPECT_EQ(one[one.rung_of(four[4])].rate, four[4].rate);
  EXPECT_EQ(one[one.rung_of(four[5])].kind, LevelKind::kFallback);
}

}  // namespace
}  // namespace driftless
