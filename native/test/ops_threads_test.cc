// Work shared between threads: nothing is lost, nothing is done twice, and numbers stay the same.

#include <atomic>

#include "ops/worker_pool.h"
#include "ops_test_support.h"

namespace driftless {
namespace {

TEST(WorkerPool, EveryTaskRunsOnceInManyShortCalls) {
  WorkerPool pool(3);
  std::vector<std::atomic<int>> done(40);
  for (int call = 0; call < 500; ++call) {
    const int64_t count = call % 41;
    for (auto& times : done) times = 0;
    pool.run(count, [&](int64_t index) {
      EXPECT_TRUE(pool.current_worker() >= 0 && pool.current_worker() < 3);
      ++done[static_cast<size_t>(index)];
    });
    for (size_t i = 0; i < done.size(); ++i) {
      ASSERT_EQ(done[i], i < static_cast<size_t>(count) ? 1 : 0) << "call " << call;
    }
  }
}

TEST(WorkerPool, TasksThatRunAtOnceAreDifferentWorkers) {
  WorkerPool pool(4);
  std::vector<std::atomic<int>> inside(4);
  pool.run(400, [&](int64_t) {
    EXPECT_TRUE(pool.inside_task());
    auto& mine = inside[static_cast<size_t>(pool.current_worker())];
    EXPECT_EQ(++mine, 1);
    --mine;
  });
  EXPECT_FALSE(pool.inside_task());
}

TEST(WorkerPool, AnExceptionReachesTheCallerAndTheNextCallWorks) {
  WorkerPool pool(2);
  std::atomic<int> done{0};
  EXPECT_THROW(pool.run(20,
                        [&](int64_t index) {
                          if (index == 7) throw Error("task 7");
                          ++done;
                        }),
               Error);
  EXPECT_EQ(done, 19);
  pool.run(20, [&](int64_t) { ++done; });
  EXPECT_EQ(done, 39);
}

TEST(WorkerPool, ACallFromInsideATaskIsAnError) {
  WorkerPool pool(2);
  EXPECT_THROW(pool.run(2, [&](int64_t) { pool.run(2, [](int64_t) {}); }), Error);
}

class ThreadsTest : public ::testing::Test {
 protected:
  Tensor random(Shape shape) {
    const Tensor tensor = arena.tensor(shape);
    fill_normal(7, ++stream, 0, tensor.f32(), static_cast<size_t>(tensor.count()));
    return tensor;
  }

  std::unique_ptr<Ops> one = make_ops("cpu", 1), three = make_ops("cpu", 3);
  Arena arena;
  uint64_t stream = 0;
};

// Sizes above the work from which operations are shared (kSplitOperations in make_ops.cc).

TEST_F(ThreadsTest, LinearLayers) {
  const Tensor x = random({700, 500}), weight = random({600, 500});
  const Tensor expected = arena.tensor({700, 600}), y = arena.tensor({700, 600});
  const auto packed = one->pack_linear(weight, Tensor());
  LinearEpilogue gelu;
  gelu.activation = Activation::gelu_tanh;
  one->linear(*packed, x, expected, gelu);
  three->linear(*packed, x, y, gelu);
  expect_close(expected, y, 0.0);
}

TEST_F(ThreadsTest, Convolutions) {
  const Tensor x = random({2, 33, 60, 64}), weight = random({64, 64, 3, 3});
  const Tensor expected = arena.tensor(x.shape()), y = arena.tensor(x.shape());
  const auto packed = one->pack_conv(weight, Tensor());
  one->conv2d(*packed, x, Tensor(), x, Activation::relu, expected);
  three->conv2d(*packed, x, Tensor(), x, Activation::relu, y);
  expect_close(expected, y, 0.0);
}

TEST_F(ThreadsTest, Attention) {
  const Tensor q = random({300, 4, 64}), k = random({1000, 4, 64}), v = random({1000, 4, 64});
  const Tensor expected = arena.tensor(q.shape()), y = arena.tensor(q.shape());
  AttentionRow row = {q.f32(), k.f32(), v.f32(), expected.f32(), 300, 1000};
  one->attention(&row, 1, 4, 64, 0.125f);
  row.out = y.f32();
  three->attention(&row, 1, 4, 64, 0.125f);
  expect_close(expected, y, 0.0);
}

TEST_F(ThreadsTest, TasksComputeSideBySideWithMemoryOfTheirOwn) {
  const Tensor x = random({8, 300, 96}), weight = random({96, 96});
  const Tensor expected = arena.tensor(x.shape()), y = arena.tensor(x.shape());
  const auto packed = one->pack_linear(weight, Tensor());
  for (int64_t i = 0; i < 8; ++i) one->linear(*packed, x.at(i), expected.at(i));
  three->each(8, [&](int64_t i) {
    const ArenaScope scope(three->arena());
    const Tensor copy = three->arena().copy(x.at(i));
    three->linear(*packed, copy, y.at(i));
  });
  expect_close(expected, y, 0.0);
}

}  // namespace
}  // namespace driftless
