#pragma once

// A small Pipeline for the tests of the sessions around it: it inverts colours, keeps `steps - 1`
// chunks inside as a stream batch does, and can be held, watched and made to fail. The prompt
// "slow" comes in over two chunks.

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "core/error.h"
#include "stream/pipeline.h"

namespace driftless {

class InvertingPipeline : public Pipeline {
 public:
  /// Paints pictures that stand upright at the same size turned around, where `turns` says so.
  explicit InvertingPipeline(int width = 64, int height = 32, double fps = 50, bool turns = false) {
    info_.name = "inverting";
    info_.width = width;
    info_.height = height;
    info_.smaller_width = width / 4 * 3;
    info_.smaller_height = height / 4 * 3;
    if (turns) {
      const PictureSize smaller{info_.smaller_width, info_.smaller_height};
      info_.sizes = {{{width, height}, smaller},
                     {{height, width}, {smaller.height, smaller.width}}};
    }
    info_.frames_per_chunk = 4;
    info_.fps = fps;
  }

  const ModelInfo& info() const override { return info_; }

  std::unique_ptr<StreamSession> open(const TransformSettings& settings,
                                      const PictureSize& size) override {
    check(settings);
    auto stream = std::make_unique<Stream>();
    stream->size = size;
    ++opened_;
    stream->settings = settings;
    stream->live = &live_streams_;
    ++live_streams_;
    return stream;
  }

  uint64_t update(StreamSession& session, const TransformSettings& settings) override {
    check(settings);
    auto& stream = static_cast<Stream&>(session);
    stream.settings = settings;
    stream.blending = settings.prompt == "slow" ? 2 : 1;
    return ++stream.revision;
  }

  /// Prompts that begin with "long" are encoded when the test says so.
  bool prompt_ready(const std::string& words) const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return words.rfind("long", 0) != 0 || encoded_;
  }
  void prepare_prompt(const std::string&) override {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return encoded_; });
  }
  void encode_prompts() {
    std::lock_guard<std::mutex> lock(mutex_);
    encoded_ = true;
    changed_.notify_all();
  }

  void run(Job* jobs, size_t count) override {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      batch_sizes_.push_back(count);
      changed_.notify_all();
      changed_.wait(lock, [this] { return !held_; });
      for (size_t j = 0; j < count; ++j) {
        const TransformSettings& settings = static_cast<Stream*>(jobs[j].session)->settings;
        steps_seen_.push_back(settings.steps);
        smaller_seen_.push_back(settings.smaller_picture);
      }
      if (lost_) throw DeviceLost("kernel", "success", "an illegal memory access");
      if (failures_ > 0) {
        --failures_;
        throw Error("batch", "luck", "none");
      }
    }
    for (size_t j = 0; j < count; ++j) {
      auto& stream = *static_cast<Stream*>(jobs[j].session);
      const auto bytes = static_cast<size_t>(stream.size.rgb(4).count());
      std::vector<uint8_t> inverted(bytes);
      for (size_t i = 0; i < bytes; ++i) inverted[i] = 255 - jobs[j].rgb_in[i];
      if (stream.blending > 0) --stream.blending;
      stream.inside.push_back(
          {stream.next_index++, stream.revision, stream.blending == 0, std::move(inverted)});
      jobs[j].result = ChunkResult();
      if (stream.inside.size() < static_cast<size_t>(stream.settings.steps)) continue;
      while (stream.inside.size() > static_cast<size_t>(stream.settings.steps)) {
        stream.inside.pop_front();
      }
      const Inside& out = stream.inside.front();
      std::copy(out.rgb.begin(), out.rgb.end(), jobs[j].rgb_out);
      jobs[j].result.has_frames = true;
      jobs[j].result.chunk_index_out = out.index;
      jobs[j].result.settings_revision = out.revision;
      jobs[j].result.settings_complete = out.complete;
      stream.inside.pop_front();
    }
  }

  /// The next run() waits until release().
  void hold() {
    std::lock_guard<std::mutex> lock(mutex_);
    held_ = true;
  }
  void release() {
    std::lock_guard<std::mutex> lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }
  void fail_next(int runs) {
    std::lock_guard<std::mutex> lock(mutex_);
    failures_ = runs;
  }
  void lose_device() {
    std::lock_guard<std::mutex> lock(mutex_);
    lost_ = true;
  }
  void wait_for_runs(size_t runs) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return batch_sizes_.size() >= runs; });
  }
  std::vector<size_t> batch_sizes() {
    std::lock_guard<std::mutex> lock(mutex_);
    return batch_sizes_;
  }
  /// Steps of each chunk that ran.
  std::vector<int> steps_seen() {
    std::lock_guard<std::mutex> lock(mutex_);
    return steps_seen_;
  }
  /// Whether each chunk that ran was to be painted smaller.
  std::vector<bool> smaller_seen() {
    std::lock_guard<std::mutex> lock(mutex_);
    return smaller_seen_;
  }
  int live_streams() const { return live_streams_; }
  /// Streams since the beginning.
  int opened() const { return opened_; }

 private:
  static void check(const TransformSettings& settings) {
    if (settings.prompt == "refused") throw Error("prompt", "another one", settings.prompt);
    if (settings.prompt == "device lost") throw DeviceLost("memory", "success", "an ECC error");
  }

  struct Inside {
    uint64_t index, revision;
    bool complete;
    std::vector<uint8_t> rgb;
  };
  struct Stream : StreamSession {
    ~Stream() override { --*live; }
    TransformSettings settings;
    PictureSize size;
    uint64_t revision = 1, next_index = 0;
    int blending = 0;
    std::deque<Inside> inside;
    std::atomic<int>* live = nullptr;
  };

  ModelInfo info_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false, encoded_ = false;
  int failures_ = 0;
  bool lost_ = false;
  std::vector<size_t> batch_sizes_;
  std::vector<int> steps_seen_;
  std::vector<bool> smaller_seen_;
  std::atomic<int> live_streams_{0}, opened_{0};
};

}  // namespace driftless
