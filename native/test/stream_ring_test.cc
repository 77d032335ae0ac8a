#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/philox.h"
#include "ops/ops.h"
#include "ops/sink_similarity.h"
#include "stream/reference_ring.h"
#include "stream/rolling_cache.h"

namespace driftless {
namespace {

constexpr int kTokens = 6;

RingConfig reference_config() {
  RingConfig config;
  config.tokens_per_frame = kTokens;
  config.kv_frames = 6;
  config.sink_frames = 3;
  config.sink_threshold = 0.2f;
  return config;
}

// Slots written by chunks 1..9 after a first chunk of two frames, as the public code does it.
TEST(ReferenceRing, WritesTheRecordedSlots) {
  ReferenceRing ring(reference_config());
  ring.advance(0, 2 * kTokens);
  std::vector<int> slots;
  for (int chunk = 0; chunk < 9; ++chunk) {
    if (chunk == 0) ring.refresh_sink(2);  // an empty slot looks unlike anything
    slots.push_back(ring.advance((2 + chunk) * kTokens, kTokens).offset / kTokens);
  }
  EXPECT_EQ(slots, (std::vector<int>{2, 3, 4, 5, 2, 3, 4, 5, 3}));
  EXPECT_EQ(ring.local_end(), 6 * kTokens);
}

TEST(ReferenceRing, EmptyQueueIsAnError) {
  RingConfig config = reference_config();
  config.kv_frames = 2;
  config.sink_frames = 2;
  ReferenceRing ring(config);
  ring.advance(0, 2 * kTokens);
  EXPECT_THROW(ring.advance(2 * kTokens, kTokens), Error);
}

TEST(SinkSimilarity, KnowsEqualOppositeAndEmpty) {
  const float a[] = {1, 2, 3, 4}, b[] = {-1, -2, -3, -4}, zero[] = {0, 0, 0, 0};
  EXPECT_NEAR(sink_similarity(a, a, a, a, 2, 2), 1.0f, 1e-6f);
  EXPECT_NEAR(sink_similarity(a, a, b, b, 2, 2), -1.0f, 1e-6f);
  EXPECT_EQ(sink_similarity(zero, zero, a, a, 2, 2), 0.0f);
}

class Rolling : public testing::Test {
 protected:
  static constexpr int kHeads = 2, kHeadDim = 12, kHeight = 2, kWidth = 3;
  static constexpr int kDim = kHeads * kHeadDim;

  static RollingConfig config(int kv, int sinks, float threshold = -1) {
    RollingConfig config;
    config.tokens_per_frame = kTokens;
    config.kv_frames = kv;
    config.sink_frames = sinks;
    config.sink_threshold = threshold;
    config.layers = 1;
    config.heads = kHeads;
    config.head_dim = kHeadDim;
    return config;
  }

  // Keys of frame n before any rotation.
  static std::vector<float> frame(int n) {
    std::vector<float> values(kTokens * kDim);
    fill_normal(7, static_cast<uint64_t>(n), 0, values.data(), values.size());
    return values;
  }

  // Frame n as attention must see it at a temporal position.
  std::vector<float> at_position(int n, double position) {
    std::vector<float> values = frame(n);
    const Tensor x({1, kTokens, kHeads, kHeadDim}, values.data());
    ops_->rope3d(x, &position, kHeight, kWidth, x);
    return values;
  }

  KvView append(RollingCache& cache, int n) {
    const std::vector<float> k = at_position(n, 0.0), v = frame(n);
    const Tensor rotated = memory_.tensor(cache.rotated_shape());
    const Shape chunk{kTokens, kDim};
    return cache.append(KvTurn{*ops_, 0, cache.moment(), rotated},
                        Tensor(chunk, const_cast<float*>(k.data())),
                        Tensor(chunk, const_cast<float*>(v.data())));
  }

  void expect_frame(const KvView& view, int slot, int n, double position) {
    const std::vector<float> k = at_position(n, position), v = frame(n);
    for (size_t i = 0; i < k.size(); ++i) {
      const size_t at = static_cast<size_t>(slot) * k.size() + i;
      ASSERT_NEAR(view.k_f32()[at], k[i], 1e-5f) << "slot " << slot << " frame " << n;
      ASSERT_EQ(view.v_f32()[at], v[i]) << "slot " << slot << " frame " << n;
    }
  }

  std::unique_ptr<Ops> ops_ = make_ops("reference");
  Arena memory_;
};

TEST_F(Rolling, PositionsStayInsideTheRingForever) {
  RollingCache cache(config(4, 1), *ops_);
  for (int n = 0; n < 300; ++n) {
    const KvView view = append(cache, n);
    const int position_now = cache.query_position(cache.moment());
    EXPECT_EQ(position_now, std::min(n, 3));
    EXPECT_EQ(view.tokens, std::min(n + 1, 4) * kTokens);
    if (n == 2 || n == 3 || n == 4 || n == 299) {
      expect_frame(view, 0, 0, 0);  // the sink
      expect_frame(view, cache.slot(), n, std::min(n, 3));
      for (int slot = 1; slot < std::min(n + 1, 4); ++slot) {
        const int position = cache.position_of(slot);
        expect_frame(view, slot, n - (position_now - position), position);
      }
    }
    cache.finish();
  }
}

TEST_F(Rolling, EmptySlotsNeverCountAsBadSinks) {
  RollingCache cache(config(4, 2, 0.999f), *ops_);
  for (int n = 0; n < 4; ++n) {
    append(cache, n);
    cache.finish();
  }
  // Full from here on: the sink least like the chunk takes the frame that would be lost.
  const KvView view = append(cache, 4);
  int replaced = 0;
  for (int sink = 0; sink < 2; ++sink) {
    const std::vector<float> v = frame(sink);
    if (view.v_f32()[static_cast<size_t>(sink) * v.size()] != v[0]) {
      expect_frame(view, sink, 2, sink);
      ++replaced;
    }
  }
  EXPECT_EQ(replaced, 1);
}

TEST_F(Rolling, ARenewedSinkTakesTheFrameThatWouldBeLost) {
  RollingCache cache(config(4, 2), *ops_);
  for (int n = 0; n < 3; ++n) {
    append(cache, n);
    cache.finish();
  }
  cache.renew_sink(0);  // not full yet: nothing happens
  for (int n = 3; n < 7; ++n) {
    append(cache, n);
    cache.finish();
  }
  cache.renew_sink(1);
  const KvView view = append(cache, 7);
  expect_frame(view, 0, 0, 0);
  expect_frame(view, 1, 5, 1);
  expect_frame(view, cache.slot(), 7, 3);
}

TEST_F(Rolling, ACopyLivesItsOwnLife) {
  RollingCache first(config(3, 1), *ops_);
  append(first, 0);
  first.finish();
  RollingCache second(config(3, 1), *ops_);
  second.copy_from(first);
  append(second, 5);
  const KvView view = append(first, 1);
  expect_frame(view, 0, 0, 0);
  expect_frame(view, 1, 1, 1);
}

TEST_F(Rolling, RefusesARingWithoutRollingSlots) {
  EXPECT_THROW(RollingCache(config(3, 3), *ops_), Error);
  EXPECT_THROW(RollingCache(config(0, 0), *ops_), Error);
}

}  // namespace
}  // namespace driftless
