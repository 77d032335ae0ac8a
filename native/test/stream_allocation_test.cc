// A chunk's steady path takes nothing from the system's allocator.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "allocation_count.h"
#include "stream/pipeline.h"

namespace driftless {
namespace {

TEST(AllocationCount, SeesNewMallocAndAlignedMemory) {
  if (!counts_allocations()) GTEST_SKIP() << "a sanitizer has its own allocator";
  const AllocationCount count;
  const std::string text(100, 'x');
  const std::vector<float> values(10);
  const auto aligned = std::unique_ptr<char, void (*)(void*)>(
      static_cast<char*>(::operator new(64, std::align_val_t(64))),
      [](void* memory) { ::operator delete(memory, std::align_val_t(64)); });
  EXPECT_EQ(count.allocations(), 3);
}

struct Load {
  int sessions, steps;
  const char* dtype;
};

class Allocation : public testing::TestWithParam<Load> {};

TEST_P(Allocation, AChunkTakesNoMemoryOnceEverythingIsWarm) {
  if (!counts_allocations()) GTEST_SKIP() << "a sanitizer has its own allocator";
  const Load& load = GetParam();
  ModelOptions options;
  options.dir = std::string(DRIFTLESS_SOURCE_DIR) + "/models/drift-nano";
  options.dtype = load.dtype;
  const auto pipeline = Pipeline::load(options);
  const ModelInfo& info = pipeline->info();
  TransformSettings settings;
  settings.prompt = "ink drawing";
  settings.steps = load.steps;
  const auto bytes = static_cast<size_t>(info.frames_per_chunk * info.width * info.height * 3);
  std::vector<uint8_t> in(bytes, 90), out(bytes);
  std::vector<std::unique_ptr<StreamSession>> sessions;
  std::vector<Pipeline::Job> jobs;
  for (int s = 0; s < load.sessions; ++s) {
    sessions.push_back(pipeline->open(settings));
    jobs.push_back({sessions.back().get(), in.data(), out.data(), {}});
  }
  // Until every step has a chunk.
  for (int chunk = 0; chunk < load.steps + 1; ++chunk) pipeline->run(jobs.data(), jobs.size());
  const AllocationCount count;
  // Past the turn of the ring of key/value memory.
  for (int chunk = 0; chunk < 6; ++chunk) pipeline->run(jobs.data(), jobs.size());
  EXPECT_EQ(count.allocations(), 0);
  EXPECT_TRUE(jobs[0].result.has_frames);
}

INSTANTIATE_TEST_SUITE_P(Loads, Allocation,
                         testing::Values(Load{1, 1, "auto"}, Load{2, 3, "auto"}, Load{4, 1, "auto"},
                                         Load{2, 2, "f32"}),
                         [](const auto& item) {
                           return std::to_string(item.param.sessions) + "Sessions" +
                                  std::to_string(item.param.steps) + "Steps" + item.param.dtype;
                         });

}  // namespace
}  // namespace driftless
