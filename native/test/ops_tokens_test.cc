#include "ops/ring_place.h"
#include "ops_test_support.h"

namespace driftless {
namespace {

class TokensTest : public OpsTest {
 protected:
  struct Block {
    Tensor q, k, v, out;
    AttentionRow row() const { return {q.f32(), k.f32(), v.f32(), out.f32(), q.dim(0), k.dim(0)}; }
  };
  Block block(int64_t queries, int64_t keys, int64_t heads, int64_t head_dim) {
    return {random({queries, heads, head_dim}), random({keys, heads, head_dim}),
            random({keys, heads, head_dim}), arena.tensor({queries, heads, head_dim})};
  }
  Tensor expected_attention(const Block& b, float scale) {
    const int64_t heads = b.q.dim(1), dim = b.q.dim(2), keys = b.k.dim(0);
    const Tensor out = arena.tensor(b.q.shape());
    for (int64_t item = 0; item < b.q.dim(0) * heads; ++item) {
      std::vector<double> weight(static_cast<size_t>(keys));
      double total = 0.0;
      for (int64_t key = 0; key < keys; ++key) {
        double dot = 0.0;
        for (int64_t d = 0; d < dim; ++d) {
          dot +=
              double{b.q.f32()[item * dim + d]} * b.k.f32()[(key * heads + item % heads) * dim + d];
        }
        total += weight[key] = std::exp(dot * scale);
      }
      for (int64_t d = 0; d < dim; ++d) {
        double sum = 0.0;
        for (int64_t key = 0; key < keys; ++key) {
          sum += weight[key] * b.v.f32()[(key * heads + item % heads) * dim + d];
        }
        out.f32()[item * dim + d] = static_cast<float>(sum / total);
      }
    }
    return out;
  }
};

TEST_P(TokensTest, AttentionRowsOfDifferentLengths) {
  for (int64_t dim : {64, 20}) {
    const std::vector<Block> blocks = {block(13, 33, 3, dim), block(1, 1, 3, dim),
                                       block(7, 100, 3, dim)};
    std::vector<AttentionRow> rows;
    for (const Block& b : blocks) rows.push_back(b.row());
    ops->attention(rows.data(), static_cast<int64_t>(rows.size()), 3, dim, 0.125f);
    for (const Block& b : blocks) expect_close(expected_attention(b, 0.125f), b.out);
  }
}

TEST_P(TokensTest, AttentionOverManyKeysWhoseScoresKeepGrowing) {
  // More keys than a tile holds, each tile with a new maximum.
  const Block b = block(9, 700, 2, 24);
  for (int64_t i = 0; i < b.k.count(); ++i) {
    b.k.f32()[i] *= 0.1f + static_cast<float>(i) / static_cast<float>(b.k.count());
  }
  const AttentionRow row = b.row();
  ops->attention(&row, 1, 2, 24, 0.5f);
  expect_close(expected_attention(b, 0.5f), b.out);
}

TEST_P(TokensTest, AttentionSurvivesLargeScoresAndWritesOverItsQueries) {
  Block b = block(5, 17, 2, 128);
  for (int64_t i = 0; i < b.q.count(); ++i) b.q.f32()[i] *= 3.0f;
  const Tensor expected = expected_attention(b, 1.0f);
  AttentionRow row = b.row();
  row.out = b.q.f32();
  ops->attention(&row, 1, 2, 128, 1.0f);
  expect_close(expected, b.q, 1e-4);

  // Scores far beyond exp's range: the largest key wins alone.
  Block huge = block(1, 3, 1, 4);
  std::fill(huge.q.f32(), huge.q.f32() + 4, 100.0f);
  for (int64_t i = 0; i < 12; ++i) huge.k.f32()[i] = static_cast<float>(i / 4) - 1.0f;
  const AttentionRow far = huge.row();
  ops->attention(&far, 1, 1, 4, 1.0f);
  expect_close(huge.v.at(2), huge.out.at(0), 1e-6);
}

TEST_P(TokensTest, AttentionOverNothingIsAnError) {
  AttentionRow row = block(2, 3, 1, 4).row();
  row.keys = 0;
  expect_error([&] { ops->attention(&row, 1, 1, 4, 1.0f); }, {"row 0 keys", "at least 1", "0"});
  row.q = nullptr;
  expect_error([&] { ops->attention(&row, 1, 1, 4, 1.0f); }, {"row 0", "null"});
}

TEST_P(TokensTest, LayerNormWithAffineAndModulation) {
  for (int64_t width : {1, 7, 192, 261}) {
    const int64_t rows = 6;
    const Tensor x = random({rows, width}), weight = random({width}), bias = random({width});
    const Tensor modulation = random({3, 6, width});
    const GroupVectors shift = {modulation.f32() + 0 * width, 3, 6 * width};
    const GroupVectors scale = {modulation.f32() + 1 * width, 3, 6 * width};
    const Tensor expected = arena.tensor(x.shape());
    for (int64_t r = 0; r < rows; ++r) {
      const float* in = x.f32() + r * width;
      double mean = 0.0, variance = 0.0;
      for (int64_t i = 0; i < width; ++i) mean += in[i] / static_cast<double>(width);
      for (int64_t i = 0; i < width; ++i) {
        variance += (in[i] - mean) * (in[i] - mean) / static_cast<double>(width);
      }
      for (int64_t i = 0; i < width; ++i) {
        const double normal = (in[i] - mean) / std::sqrt(variance + 1e-6);
        const double affine = normal * weight.f32()[i] + bias.f32()[i];
        const float* m = modulation.f32() + r / 2 * 6 * width;
        expected.f32()[r * width + i] = static_cast<float>(affine * (1 + m[width + i]) + m[i]);
      }
    }
    ops->layer_norm(x, weight, bias, scale, shift, 1e-6f, x);
    expect_close(expected, x);
  }
}

TEST_P(TokensTest, RmsNorm) {
  for (int64_t width : {3, 192, 1030}) {
    const Tensor x = random({5, width}), weight = random({width}), expected = arena.copy(x);
    for (int64_t r = 0; r < 5; ++r) {
      double squares = 0.0;
      for (int64_t i = 0; i < width; ++i) squares += std::pow(x.f32()[r * width + i], 2);
      for (int64_t i = 0; i < width; ++i) {
        expected.f32()[r * width + i] *= static_cast<float>(
            weight.f32()[i] / std::sqrt(squares / static_cast<double>(width) + 1e-6));
      }
    }
    const Tensor y = arena.tensor(x.shape());
    ops->rms_norm(x, weight, 1e-6f, y);
    expect_close(expected, y);
  }
}

TEST_P(TokensTest, RopeUsesWansSplitOfAdjacentPairs) {
  for (int64_t dim : {64, 128, 16}) {
    const int64_t heads = 2, height = 3, width = 4;
    const double positions[] = {0.0, 5.5, -2.0, 1000.0};
    const Tensor x = random({4, height * width, heads, dim}), expected = arena.copy(x);
    const int64_t pairs = dim / 2, third = pairs / 3;
    const int64_t split[3] = {pairs - 2 * third, third, third};
    for (int64_t i = 0; i < x.count() / 2; ++i) {
      const int64_t token = i / pairs / heads;
      const double at[3] = {positions[token / 12], static_cast<double>(token / 4 % 3),
                            static_cast<double>(token % 4)};
      int64_t pair = i % pairs;
      int axis = 0;
      while (pair >= split[axis]) pair -= split[axis++];
      const double angle = at[axis] * std::pow(10000.0, -2.0 * static_cast<double>(pair) /
                                                            static_cast<double>(2 * split[axis]));
      const double a = x.f32()[2 * i], b = x.f32()[2 * i + 1];
      expected.f32()[2 * i] = static_cast<float>(a * std::cos(angle) - b * std::sin(angle));
      expected.f32()[2 * i + 1] = static_cast<float>(a * std::sin(angle) + b * std::cos(angle));
    }
    ops->rope3d(x, positions, height, width, x);
    expect_close(expected, x, 1e-6);
  }
  expect_error(
      [&] {
        ops->rope3d(random({1, 5, 1, 8}), nullptr, 2, 3, random({1, 5, 1, 8}));
      },
      {"tokens per frame", "6", "5"});
}

TEST_P(TokensTest, TimestepEmbeddingIsCosinesThenSines) {
  const double t[] = {0.0, 700.0};
  const Tensor y = arena.tensor({2, 256});
  ops->timestep_embedding(t, y);
  EXPECT_FLOAT_EQ(y.f32()[0], 1.0f);
  EXPECT_FLOAT_EQ(y.f32()[128], 0.0f);
  EXPECT_FLOAT_EQ(y.f32()[256 + 3], static_cast<float>(std::cos(700 * std::pow(1e4, -3 / 128.0))));
  EXPECT_FLOAT_EQ(y.f32()[256 + 255],
                  static_cast<float>(std::sin(700 * std::pow(1e4, -127 / 128.0))));
}

TEST_P(TokensTest, ElementwiseArithmetic) {
  const Tensor x = from({2, 3}, {-100, -1, -0.5f, 0, 2, 100}), y = arena.tensor({2, 3});
  ops->tanh_clamp(x, 3.0f, y);
  for (int i = 0; i < 6; ++i) EXPECT_NEAR(y.f32()[i], 3 * std::tanh(x.f32()[i] / 3.0), 1e-6);
  ops->axpby(2.0f, x, -1.0f, x, y);
  expect_close(x, y);
  ops->affine_channels(x, from({3}, {1, 2, 3}), from({3}, {0, 10, 0}), y);
  expect_close(from({2, 3}, {-100, 8, -1.5f, 0, 14, 300}), y);
  ops->affine_channels(x, Tensor(), from({3}, {0, 10, 0}), y);
  expect_close(from({2, 3}, {-100, 9, -0.5f, 0, 12, 100}), y);
  const Tensor mean = arena.tensor({3});
  ops->mean_rows(x, mean);
  expect_close(from({3}, {-50, 0.5f, 49.75f}), mean);
  const Tensor mixed = arena.tensor({2, 2});
  ops->mix_channels(x, from({2, 3}, {1, 0, 0, 0, 1, 2}), mixed);
  expect_close(from({2, 2}, {-100, -2, 0, 202}), mixed);
  const Tensor zeros = arena.zeros({2, 3});
  EXPECT_NEAR(ops->mean_square_difference(x, zeros), (20000 + 5.25) / 6, 1e-9);
  expect_error([&] { ops->axpby(1, x, 1, random({3, 2}), y); }, {"[2, 3]", "[3, 2]"});
}

TEST_P(TokensTest, ActivationsAtTheEnds) {
  const Tensor x = from({5}, {-1e4f, -90, 0, 90, 1e4f}), y = arena.tensor({5});
  for (Activation activation : {Activation::silu, Activation::gelu_tanh}) {
    ops->activate(activation, x, y);
    EXPECT_NEAR(y.f32()[0], 0.0f, 1e-30);
    EXPECT_NEAR(y.f32()[1], 0.0f, 1e-30);
    EXPECT_EQ(y.f32()[2], 0.0f);
    EXPECT_EQ(y.f32()[3], 90.0f);
    EXPECT_EQ(y.f32()[4], 1e4f);
  }
}

TEST_P(TokensTest, RopeOfTimeAloneIsThatOfAGridOfOneToken) {
  const double positions[] = {0, 3.5};
  const Tensor x = random({2, 3, 2, 16}), y = arena.tensor(x.shape()), z = arena.tensor(x.shape());
  ops->rope_time(x, positions, y);
  for (int64_t token = 0; token < 3; ++token) {
    for (int64_t f = 0; f < 2; ++f) {
      const Tensor one = x.at(f).slice(token, token + 1).reshape({1, 1, 2, 16});
      ops->rope3d(one, positions + f, 1, 1, z.at(f).slice(token, token + 1).reshape({1, 1, 2, 16}));
    }
  }
  expect_close(z, y);
  ops->rope_time(x, positions, x);
  expect_close(y, x, 0);
  expect_error([&] { ops->rope_time(x, positions, z.slice(0, 1)); },
               {"rope_time", "[1, 3, 2, 16]"});
}

// Against the operations that it puts together; two rows, one whose ring is not full yet.
TEST_P(TokensTest, AppendsToRingsInOneGo) {
  const int64_t slots = 3, tokens = 4, heads = 2, head_dim = 12, d = heads * head_dim;
  const RingPlace place{static_cast<int>(slots), 1};
  const int64_t frames[] = {1, 6};
  const Tensor q = random({2 * tokens, d}), k = random({2 * tokens, d}),
               v = random({2 * tokens, d});
  const RingNorms norms{random({d}), random({d}), 1e-6f};
  RingRow rows[2];
  std::vector<Tensor> k_rings, v_rings;
  for (int r = 0; r < 2; ++r) {
    const Shape shape{slots, tokens, heads, head_dim};
    rows[r] = RingRow{{random(shape), random(shape), 1}, arena.zeros(shape), frames[r]};
    k_rings.push_back(arena.copy(rows[r].ring.k));
    v_rings.push_back(arena.copy(rows[r].ring.v));
  }
  const Tensor expected_q = arena.copy(q), expected_k = arena.copy(k);
  ops->append_to_rings(q, k, v, norms, 2, 2, rows, 2);

  ops->rms_norm(expected_q, norms.q, 1e-6f, expected_q);
  ops->rms_norm(expected_k, norms.k, 1e-6f, expected_k);
  for (size_t r = 0; r < 2; ++r) {
    const auto begin = static_cast<int64_t>(r) * tokens;
    const Shape grid{1, tokens, heads, head_dim};
    const Tensor own_q = expected_q.slice(begin, begin + tokens).reshape(grid);
    const Tensor own_k = expected_k.slice(begin, begin + tokens).reshape(grid);
    const int slot = place.slot(frames[r]), valid = place.valid(frames[r]);
    const double here = place.position(frames[r], slot), none = 0;
    ops->rope3d(own_q, &here, 2, 2, own_q);
    ops->rope3d(own_k, &none, 2, 2, own_k);
    ops->copy(own_k, k_rings[r].at(slot));
    ops->copy(v.slice(begin, begin + tokens), v_rings[r].at(slot));
    std::vector<double> positions;
    for (int of = 0; of < valid; ++of) positions.push_back(place.position(frames[r], of));
    const Tensor rotated = arena.zeros(k_rings[r].shape());
    ops->rope_time(k_rings[r].slice(0, valid), positions.data(), rotated.slice(0, valid));
    expect_close(k_rings[r], rows[r].ring.k);
    expect_close(v_rings[r], rows[r].ring.v, 0);
    expect_close(rotated, rows[r].rotated);
  }
  expect_close(expected_q, q);
  expect_error([&] { ops->append_to_rings(q, k, v, norms, 3, 2, rows, 2); }, {"tokens", "4", "6"});
  rows[1].frames = -1;
  expect_error([&] { ops->append_to_rings(q, k, v, norms, 2, 2, rows, 2); }, {"frames", "-1"});
  rows[1].ring.v = rows[1].ring.v.slice(0, 2);
  rows[1].frames = 0;
  expect_error([&] { ops->append_to_rings(q, k, v, norms, 2, 2, rows, 2); },
               {"ring", "[2, 4, 2, 12]"});
}

TEST_P(TokensTest, MovesAndMeasuresChannels) {
  const Tensor x = from({2, 3}, {1, 2, 3, 5, 6, 7}), y = arena.zeros({2, 2});
  ops->copy_channels(x, 1, 1, y, 1);
  expect_close(from({2, 2}, {0, 2, 0, 6}), y, 0);
  expect_error([&] { ops->copy_channels(x, 2, 2, y, 0); }, {"within 3", "2 to 4"});
  expect_error([&] { ops->copy_channels(x, 0, 2, y, 1); }, {"within 2", "1 to 3"});
  const Tensor moments = arena.tensor({2, 3});
  ops->channel_moments(x, moments);
  const float spread = static_cast<float>(std::log(2 + kTinySpread));
  expect_close(from({2, 3}, {3, 4, 5, spread, spread, spread}), moments);
  const Tensor clamped = arena.tensor({2, 3});
  ops->clamp(x, 2, 6, clamped);
  expect_close(from({2, 3}, {2, 2, 3, 5, 6, 6}), clamped, 0);
}

TEST_P(TokensTest, NoiseIsThatOfTheSeedWhereverItIsMade) {
  const Tensor y = arena.tensor({2, 37}), expected = arena.tensor({2, 37});
  fill_normal(9, 4, 5, expected.f32(), 74);
  ops->normal_noise(9, 4, 5, y);
  expect_close(expected, y, 1e-6);
}

TEST_P(TokensTest, TheAnchorThatIsLeastAlikeIsReplaced) {
  const Tensor k = random({4, 3, 2, 8}), chunk = random({3, 16});
  // The second anchor resembles the chunk, the first does not.
  ops->copy(chunk, k.at(1));
  const Tensor v = arena.copy(k), kept = arena.copy(k);
  ops->refresh_sink({k, v, 2}, chunk, chunk, 3, 0.9f);
  expect_close(kept.at(3), k.at(0), 0);
  expect_close(kept.at(3), v.at(0), 0);
  expect_close(kept.slice(1, 4), k.slice(1, 4), 0);
  ops->refresh_sink({k, v, 2}, chunk, chunk, 3, -1.0f);
  expect_close(kept.slice(1, 4), v.slice(1, 4), 0);
  expect_error([&] { ops->refresh_sink({k, v, 2}, chunk, chunk, 1, 0); }, {"2..3", "1"});
}

TEST_P(TokensTest, CopiesBetweenMemories) {
  Arena host, own(4096, 0, ops->memory());
  const Tensor x = host.tensor({5}), there = own.tensor({5}), back = host.tensor({5});
  for (int i = 0; i < 5; ++i) x.f32()[i] = static_cast<float>(i);
  ops->copy(x, there);
  x.f32()[0] = 7;  // The source may be changed at once.
  ops->copy(there.slice(0, 2), there.slice(3, 5));
  ops->copy(there, back);
  expect_close(from({5}, {0, 1, 2, 0, 1}), back, 0);
  ops->clear(there);
  ops->copy(there, back);
  expect_close(host.zeros({5}), back, 0);
  expect_error([&] { ops->copy(x, there.slice(0, 4)); }, {"copy output", "5", "4"});
}

DRIFTLESS_ON_ALL_BACKENDS(TokensTest);

}  // namespace
}  // namespace driftless
