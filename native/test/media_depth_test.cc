// The compute thread over a pipeline that keeps several batches under way.

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "media/compute_loop.h"
#include "media_test_listener.h"
#include "media_test_pipeline.h"
#include "stream_test_clips.h"

namespace driftless {
namespace {

/// Batches are run by a thread of its own, as those of a split transformer are.
class DeepPipeline : public InvertingPipeline {
 public:
  DeepPipeline() : worker_([this] { work(); }) {}
  ~DeepPipeline() override {
    {
      const std::lock_guard<std::mutex> lock(batches_mutex_);
      stopping_ = true;
    }
    batches_changed_.notify_all();
    worker_.join();
  }

  size_t depth() const override { return 3; }
  void start(Job* jobs, size_t count) override {
    const std::lock_guard<std::mutex> lock(batches_mutex_);
    batches_.push_back({jobs, count, nullptr, false});
    most_ = std::max(most_, batches_.size());
    batches_changed_.notify_all();
  }
  bool ready() const override {
    const std::lock_guard<std::mutex> lock(batches_mutex_);
    return !batches_.empty() && batches_.front().done;
  }
  void on_ready(std::function<void()> listener) override {
    const std::lock_guard<std::mutex> lock(listener_mutex_);
    listener_ = std::move(listener);
  }
  void finish() override {
    std::unique_lock<std::mutex> lock(batches_mutex_);
    batches_changed_.wait(lock, [this] { return batches_.front().done; });
    const std::exception_ptr error = batches_.front().error;
    batches_.pop_front();
    if (error) std::rethrow_exception(error);
  }
  bool wants_rest(const StreamSession&) const override { return wants_rest_; }
  double busiest_ms() const override { return 1; }

  void want_rest(bool wants) { wants_rest_ = wants; }
  size_t most_under_way() const {
    const std::lock_guard<std::mutex> lock(batches_mutex_);
    return most_;
  }
  size_t under_way() const {
    const std::lock_guard<std::mutex> lock(batches_mutex_);
    return batches_.size();
  }

 private:
  struct Batch {
    Job* jobs;
    size_t count;
    std::exception_ptr error;
    bool done;
  };

  void work() {
    std::unique_lock<std::mutex> lock(batches_mutex_);
    for (;;) {
      const auto next = std::find_if(batches_.begin(), batches_.end(),
                                     [](const Batch& batch) { return !batch.done; });
      if (next == batches_.end()) {
        if (stopping_) return;
        batches_changed_.wait(lock);
        continue;
      }
      Batch& batch = *next;  // stays where it is: others come and go at the ends
      lock.unlock();
      std::exception_ptr error;
      try {
        run(batch.jobs, batch.count);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      batch.error = error;
      batch.done = true;
      batches_changed_.notify_all();
      lock.unlock();
      {
        const std::lock_guard<std::mutex> listener_lock(listener_mutex_);
        if (listener_) listener_();
      }
      lock.lock();
    }
  }

  mutable std::mutex batches_mutex_;
  std::condition_variable batches_changed_;
  std::deque<Batch> batches_;
  std::mutex listener_mutex_;
  std::function<void()> listener_;
  std::atomic<bool> wants_rest_{false};
  size_t most_ = 0;
  bool stopping_ = false;
  std::thread worker_;
};

class Depth : public ::testing::Test {
 protected:
  static Transform restyle(const std::string& prompt = "") {
    Transform transform;
    transform.settings.prompt = prompt;
    return transform;
  }
  Chunk chunk(uint8_t number, bool scene = false) {
    Chunk made;
    if (scene) made.source = PictureSource::kScene;
    made.rgb.assign(static_cast<size_t>(64) * 32 * 3 * 4, number);
    for (int i = 0; i < 4; ++i) made.frames.push_back({1000.0 * number + i, 0, 0, nullptr, {}, {}});
    return made;
  }
  // Submits a chunk that the loop is to begin before this returns.
  void submit(ComputeLoop& loop, const std::shared_ptr<ComputeLoop::Track>& track, Chunk chunk,
              size_t under_way) {
    loop.submit(track, std::move(chunk));
    while (pipeline_.under_way() < under_way) std::this_thread::yield();
  }
  // Lets go of what is held while the test waits for it.
  std::thread release_soon() {
    return std::thread([this] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      pipeline_.release();
    });
  }

  DeepPipeline pipeline_;
  SessionCounters counters_, other_counters_;
  Collector listener_, other_;
};

TEST_F(Depth, BeginsNewBatchesWhileOthersAreUnderWayAndKeepsTheirOrder) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle());
  pipeline_.hold();
  for (uint8_t n = 1; n <= 3; ++n) submit(loop, track, chunk(n), n);
  loop.submit(track, chunk(4));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(pipeline_.under_way(), 3u) << "the fourth has to wait";
  EXPECT_TRUE(loop.chunk_waiting(track));
  pipeline_.release();
  ASSERT_TRUE(listener_.wait(4));
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(listener_.chunks()[i].rgb[0], 254 - i);
    EXPECT_EQ(listener_.chunks()[i].frames[0].capture_ms, 1000.0 * static_cast<double>(i + 1));
  }
  EXPECT_EQ(pipeline_.most_under_way(), 3u);
  loop.remove(track);
}

TEST_F(Depth, AStreamEndsOnlyWhenNothingOfItIsUnderWay) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle());
  pipeline_.hold();
  submit(loop, track, chunk(1), 1);
  submit(loop, track, chunk(2), 2);
  // A scene is another stream, and what passes through is none.
  loop.submit(track, chunk(3, true));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(pipeline_.live_streams(), 1);
  pipeline_.release();
  ASSERT_TRUE(listener_.wait(3));
  Transform passthrough;
  passthrough.mode = TransformMode::kPassthrough;
  loop.set_transform(track, passthrough);
  loop.submit(track, chunk(4));
  ASSERT_TRUE(listener_.wait(4));
  EXPECT_EQ(listener_.chunks()[3].rgb[0], 4);
  EXPECT_EQ(pipeline_.live_streams(), 0);
  EXPECT_EQ(counters_.drop_stream_batch, 0u);
  loop.remove(track);
}

TEST_F(Depth, ATrackLeavesWhenItsBatchesAreDone) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle());
  const auto stays = loop.add(other_, other_counters_, restyle());
  pipeline_.hold();
  submit(loop, track, chunk(1), 1);
  submit(loop, stays, chunk(2), 2);
  std::thread release = release_soon();
  loop.remove(track);
  EXPECT_EQ(listener_.chunks().size(), 1u);
  ASSERT_TRUE(other_.wait(1));
  release.join();
  loop.remove(stays);
  loop.stop();
  EXPECT_EQ(pipeline_.live_streams(), 0);
}

TEST_F(Depth, WhatWantsRestWaitsForTheBatchesUnderWay) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle());
  pipeline_.hold();
  submit(loop, track, chunk(1), 1);
  pipeline_.want_rest(true);
  loop.submit(track, chunk(2));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(pipeline_.under_way(), 1u);
  pipeline_.release();
  ASSERT_TRUE(listener_.wait(2));
  EXPECT_EQ(pipeline_.most_under_way(), 1u);
  loop.remove(track);
}

TEST_F(Depth, AFailureCostsTheStreamThatFailedAndNoOther) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle());
  const auto stays = loop.add(other_, other_counters_, restyle());
  pipeline_.hold();
  submit(loop, track, chunk(1), 1);
  submit(loop, stays, chunk(2), 2);
  submit(loop, track, chunk(3), 3);
  pipeline_.fail_next(1);
  pipeline_.release();
  ASSERT_TRUE(other_.wait(1));
  ASSERT_TRUE(listener_.wait(0, 1));
  loop.submit(track, chunk(4));
  ASSERT_TRUE(listener_.wait(1));
  EXPECT_EQ(listener_.chunks()[0].frames[0].capture_ms, 4000) << "of the stream that came after";
  EXPECT_EQ(counters_.compute_errors, 1u);
  EXPECT_EQ(counters_.drop_compute_error, 8u);
  loop.remove(track);
  loop.remove(stays);
}

TEST_F(Depth, AStopWaitsForWhatIsUnderWay) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle());
  pipeline_.hold();
  submit(loop, track, chunk(1), 1);
  submit(loop, track, chunk(2), 2);
  std::thread release = release_soon();
  loop.stop();
  release.join();
  EXPECT_EQ(pipeline_.under_way(), 0u);
  EXPECT_EQ(listener_.chunks().size(), 2u);
}

// The real thing: three tracks that change their minds, over a transformer on three devices.
TEST(SplitEngine, ServesTracksThatChangeTheirMinds) {
  Json json = tiny_model_json();
  json["dit"]["layers"] = 4;
  json["schedule"]["blendChunks"] = 2;
  const TinyModel model(json);
  ModelOptions options;
  options.dir = model.dir();
  options.backend = "cpu,cpu,cpu";
  const auto pipeline = Pipeline::load(options);
  ComputeLoop loop(pipeline.get());
  constexpr size_t kTracks = 3;
  SessionCounters counters[kTracks];
  Collector listeners[kTracks];
  std::shared_ptr<ComputeLoop::Track> tracks[kTracks];
  size_t submitted[kTracks] = {};
  for (size_t t = 0; t < kTracks; ++t) {
    Transform transform;
    transform.settings.prompt = "rain";
    tracks[t] = loop.add(listeners[t], counters[t], transform);
  }
  for (int turn = 0; turn < 120; ++turn) {
    const size_t t = static_cast<size_t>(turn) % kTracks;
    if (turn % 10 == 9) {
      Transform transform;
      transform.settings.prompt = turn % 20 == 9 ? "neon night" : "rain";
      transform.settings.steps = 1 + turn % 3;
      transform.settings.smaller_picture = turn % 30 == 29;
      if (turn % 40 == 39) transform.mode = TransformMode::kPassthrough;
      loop.set_transform(tracks[t], transform);
    }
    Chunk chunk;
    chunk.rgb = tiny_chunk(static_cast<int>(t), turn);
    for (int i = 0; i < 4; ++i) chunk.frames.push_back({1000.0 * turn + i, 0, 0, nullptr, {}, {}});
    while (loop.chunk_waiting(tracks[t])) std::this_thread::yield();
    loop.submit(tracks[t], std::move(chunk));
    ++submitted[t];
  }
  for (size_t t = 0; t < kTracks; ++t) {
    EXPECT_TRUE(listeners[t].wait(10));
    loop.remove(tracks[t]);
    const auto chunks = listeners[t].chunks();
    for (size_t i = 1; i < chunks.size(); ++i) {
      EXPECT_LT(chunks[i - 1].frames[0].capture_ms, chunks[i].frames[0].capture_ms);
    }
    EXPECT_EQ(counters[t].compute_errors, 0u);
    EXPECT_LE(chunks.size(), submitted[t]);
  }
}

}  // namespace
}  // namespace driftless
