#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/arena.h"
#include "core/philox.h"
#include "ops_test_support.h"

namespace driftless {
namespace {

TEST(TensorTest, ViewsShareMemoryAndCheckTheirBounds) {
  std::vector<float> data(24);
  const Tensor x({2, 3, 4}, data.data());
  EXPECT_EQ(x.bytes(), 96u);
  EXPECT_EQ(x.dim(-1), 4);
  EXPECT_EQ(x.at(1).f32(), data.data() + 12);
  EXPECT_EQ(x.at(1).shape(), Shape({3, 4}));
  EXPECT_EQ(x.slice(1, 2).shape(), Shape({1, 3, 4}));
  EXPECT_EQ(x.reshape({6, 4}).f32(), data.data());
  expect_error([&] { x.reshape({5, 5}); }, {"[5, 5]", "[2, 3, 4]", "24", "25"});
  expect_error([&] { x.slice(1, 3); }, {"[2, 3, 4]", "1..3"});
  expect_error([&] { x.dim(3); }, {"axis", "3"});
  expect_error([&] { x.i32(); }, {"i32", "f32"});
  expect_error([&] { Tensor().f32(); }, {"absent"});
  expect_error([&] { Shape({1, 1, 1, 1, 1, 1, 1}); }, {"at most 6", "7"});
  expect_error([&] { Shape({2, -1}); }, {"dimension", "-1"});
}

TEST(ArenaTest, AlignsAndKeepsEarlierMemoryWhenItGrows) {
  Arena arena(1024);
  std::vector<Tensor> tensors;
  for (int i = 0; i < 50; ++i) {
    tensors.push_back(arena.tensor({i + 1}));
    std::fill(tensors.back().f32(), tensors.back().f32() + i + 1, static_cast<float>(i));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensors.back().data()) % 64, 0u);
  }
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(tensors[i].f32()[0], i);
    EXPECT_EQ(tensors[i].f32()[i], i);
  }
}

TEST(ArenaTest, ALoopThatRewindsStopsAllocating) {
  Arena arena(4096);
  arena.allocate(100);
  const auto turn = [&] {
    const ArenaScope scope(arena);
    arena.allocate(3000);
    arena.allocate(20000);  // Larger than a block.
    arena.allocate(3000);
    arena.zeros({10});
  };
  turn();
  const size_t capacity = arena.capacity();
  for (int i = 0; i < 100; ++i) turn();
  EXPECT_EQ(arena.capacity(), capacity);
}

TEST(ArenaTest, ZerosAreZeroAfterReuseAndCopiesAreCopies) {
  Arena arena;
  const auto mark = arena.mark();
  std::fill_n(arena.tensor({100}).f32(), 100, 5.0f);
  arena.rewind(mark);
  const Tensor zeros = arena.zeros({100});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(zeros.f32()[i], 0.0f);
  const Tensor copy = arena.copy(zeros);
  copy.f32()[0] = 1.0f;
  EXPECT_EQ(zeros.f32()[0], 0.0f);
}

TEST(ArenaTest, TheLimitIsAnError) {
  Arena arena(1024, 4096);
  arena.allocate(1000);
  expect_error([&] { arena.allocate(100000); }, {"arena size", "4096"});
}

// Known answers published with Random123 (kat_vectors, philox4x32 10).
TEST(PhiloxTest, KnownAnswers) {
  using Counter = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}),
            (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32_10({ones, ones, ones, ones}, {ones, ones}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxTest, NormalsHaveTheirMoments) {
  constexpr int kCount = 200000;
  std::vector<float> values(kCount);
  fill_normal(42, 3, 0, values.data(), kCount);
  double mean = 0, square = 0, cube = 0, fourth = 0;
  for (double v : values) {
    mean += v / kCount;
    square += v * v / kCount;
    cube += v * v * v / kCount;
    fourth += v * v * v * v / kCount;
  }
  // Five standard errors each.
  EXPECT_NEAR(mean, 0.0, 5 * std::sqrt(1.0 / kCount));
  EXPECT_NEAR(square, 1.0, 5 * std::sqrt(2.0 / kCount));
  EXPECT_NEAR(cube, 0.0, 5 * std::sqrt(15.0 / kCount));
  EXPECT_NEAR(fourth, 3.0, 5 * std::sqrt(96.0 / kCount));
}

TEST(PhiloxTest, PiecesEqualTheWholeAndStreamsDiffer) {
  std::vector<float> whole(50), pieces(50), other(50);
  fill_normal(9, 1, 0, whole.data(), 50);
  fill_normal(9, 1, 0, pieces.data(), 7);
  fill_normal(9, 1, 7, pieces.data() + 7, 43);
  EXPECT_EQ(whole, pieces);
  fill_normal(9, 2, 0, other.data(), 50);
  EXPECT_NE(whole, other);
  fill_normal(10, 1, 0, other.data(), 50);
  EXPECT_NE(whole, other);
}

}  // namespace
}  // namespace driftless
