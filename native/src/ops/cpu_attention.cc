// Attention in the manner of FlashAttention: keys and values pass block by block, packed into
// panels that stay in the second-level cache while all queries go over them; each query carries its
// running maximum, weight sum and weighted values.

#include <algorithm>
#include <cmath>

#include "ops/checks.h"
#include "ops/cpu_ops.h"
#include "ops/cpu_tiles.h"
#include "ops/transpose.h"

namespace driftless {

namespace {

/// Keys and values of a block take 2 * 256 * head_dim words: 128 kB at 64, 256 kB at 128 (f32).
constexpr int64_t kBlockKeys = 256;

/// One head of one row.
struct Head {
  const AttentionRow& row;
  int64_t offset, token_stride, dim;
  float scale;
  const PanelKernels& kernels;
  PanelPlan value_plan;  ///< Over the head's channels.

  /// Panels over keys, as wide as the registers allow with the most queries at a time.
  int key_vectors() const { return kernels.max_vectors == 3 ? 2 : kernels.max_vectors; }
  int64_t key_width() const { return int64_t{key_vectors()} * kLanes; }
  int64_t group_queries() const { return kernels.pixels[key_vectors()]; }
  /// Words of a query or key.
  int64_t words() const { return kernels.whole_steps(words_for(kernels.type, dim)); }
  /// Words of a query's weights over so many keys.
  int64_t words_of(int64_t keys) const {
    return kernels.whole_steps(words_for(kernels.type, keys));
  }
};

/// Scratch of one head, in words.
struct Workspace {
  Word* queries;   ///< [query][dim words]
  Word* keys;      ///< Panels over a block's keys: [panel][dim word][panel width].
  Word* values;    ///< Panels over channels: [panel][key word][panel width].
  float* scores;   ///< [queries of a group][kBlockKeys]
  Word* weights;   ///< The same as words, after the exponential.
  float* sums;     ///< Weighted values so far, [query][padded channels].
  float* largest;  ///< [query]
  float* total;    ///< [query]

  static size_t words(const Head& head) {
    const int64_t dim = head.words(), padded = head.value_plan.padded();
    return static_cast<size_t>(kBlockKeys * (dim + padded + 2 * head.group_queries()) +
                               head.row.queries * (dim + padded + 2));
  }
  Workspace(Word* memory, const Head& head) {
    const int64_t dim = head.words(), padded = head.value_plan.padded();
    const auto take = [&](int64_t words) {
      Word* taken = memory;
      memory += words;
      return taken;
    };
    keys = take(kBlockKeys * dim);
    values = take(kBlockKeys * padded);
    scores = reinterpret_cast<float*>(take(kBlockKeys * head.group_queries()));
    weights = take(kBlockKeys * head.group_queries());
    sums = reinterpret_cast<float*>(take(head.row.queries * padded));
    queries = take(head.row.queries * dim);
    largest = reinterpret_cast<float*>(take(head.row.queries));
    total = reinterpret_cast<float*>(take(head.row.queries));
  }
};

/// Keys of a block, transposed panel by panel.
void pack_keys(const Head& head, int64_t first, int64_t count, Word* to) {
  const int64_t dim = head.words(), filled_words = words_for(head.kernels.type, head.dim);
  const int64_t width = head.key_width();
  for (int64_t panel = 0; panel < count; panel += width, to += width * dim) {
    const float* from =
        static_cast<const float*>(head.row.k) + (first + panel) * head.token_stride + head.offset;
    const int64_t filled = std::min(width, count - panel);
    for (int64_t key = 0; key < width; key += kLanes) {
      const int64_t rows = std::clamp<int64_t>(filled - key, 0, kLanes);
      transpose_to_words(head.kernels.type, from + key * head.token_stride, head.token_stride, rows,
                         head.dim, to + key, width);
    }
    std::fill(to + filled_words * width, to + dim * width, 0u);
  }
}

/// Values of a block; where a word is a pair, the values of two consecutive keys.
void pack_values(const Head& head, int64_t first, int64_t count, Word* to) {
  const WordType type = head.kernels.type;
  const int64_t per_word = values_per_word(type), words = words_for(type, count);
  const PanelPlan& plan = head.value_plan;
  for (int64_t panel = 0; panel < plan.panels; ++panel) {
    const int64_t channel = panel * plan.width(), width = plan.vectors_of(panel) * kLanes;
    for (int64_t word = 0; word < words; ++word, to += width) {
      const float* even = static_cast<const float*>(head.row.v) +
                          (first + word * per_word) * head.token_stride + head.offset + channel;
      const float* odd = word * per_word + 1 < count ? even + head.token_stride : nullptr;
      for (int64_t c = 0; c < width; c += kLanes) {
        const int64_t filled = std::clamp<int64_t>(head.dim - channel - c, 0, kLanes);
        const IntVec packed = type == WordType::f32
                                  ? float_bits(load_part(even + c, filled))
                                  : bf16_pairs(load_part(even + c, filled),
                                               odd == nullptr ? Vec{} : load_part(odd + c, filled));
        std::memcpy(to + c, &packed, sizeof packed);
      }
    }
    Word* rest = to;
    to += (head.words_of(count) - words) * width;
    std::fill(rest, to, 0u);
  }
}

/// Largest scaled score.
float largest_of(const float* scores, int64_t count, float scale) {
  Vec most = splat(scores[0]) * scale;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Vec value = load_vec(scores + i) * scale;
    most = value > most ? value : most;
  }
  float largest = most[0];
  for (int lane = 1; lane < kLanes; ++lane) largest = std::max(largest, most[lane]);
  for (; i < count; ++i) largest = std::max(largest, scores[i] * scale);
  return largest;
}

#if defined(__AVX512BF16__)
/// 2^x for x <= 0, relative error below 8e-5: a fiftieth of what rounding to bf16 costs. Minimax
/// polynomial of degree 3 for the fraction.
__m512 exp2_for_bf16(__m512 x) {
  x = _mm512_max_ps(x, _mm512_set1_ps(-100.0f));
  const __m512 fraction = _mm512_reduce_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 p = _mm512_set1_ps(0.05517163f);
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0.24261114f));
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0.69326100f));
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0.99992807f));
  return _mm512_scalef_ps(p, _mm512_sub_ps(x, fraction));
}

/// exp(scale * score - largest) of `count` scores as pairs of bf16, up to a multiple of 32 of them;
/// returns their sum. Scores beyond `count` are overwritten.
float bf16_weights(float* scores, int64_t count, float scale, float largest, Word* to) {
  constexpr float kLog2E = 1.44269504f;
  const __m512 factor = _mm512_set1_ps(scale * kLog2E), offset = _mm512_set1_ps(largest * kLog2E);
  __m512 totals[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (int64_t i = 0; i < count; i += 2 * kLanes, to += kLanes) {
    __m512 weights[2];
    for (int half = 0; half < 2; ++half) {
      const int64_t left = count - i - half * kLanes;
      const __m512 score = _mm512_loadu_ps(scores + i + half * kLanes);
      weights[half] = exp2_for_bf16(_mm512_fmsub_ps(score, factor, offset));
      if (left < kLanes) {
        const auto mask = static_cast<__mmask16>(left <= 0 ? 0 : (1u << left) - 1);
        weights[half] = _mm512_maskz_mov_ps(mask, weights[half]);
      }
      totals[half] = _mm512_add_ps(totals[half], weights[half]);
    }
    const __m512bh pairs = _mm512_cvtne2ps_pbh(weights[1], weights[0]);
    std::memcpy(to, &pairs, sizeof pairs);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(totals[0], totals[1]));
}
#endif

/// Turns scores into exp(scale * score - largest) and returns their sum.
float exponentiate(float* scores, int64_t count, float scale, float largest) {
  Vec total = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Vec weight = exp_vec(load_vec(scores + i) * scale - largest);
    store_vec(scores + i, weight);
    total += weight;
  }
  float sum = sum_lanes(total);
  for (; i < count; ++i) {
    scores[i] = exp_vec(splat(scores[i] * scale - largest))[0];
    sum += scores[i];
  }
  return sum;
}

/// The weights of a query over a block as words, whole steps of them; returns their sum.
float weigh(const Head& head, float* scores, int64_t keys, float largest, Word* to) {
#if defined(__AVX512BF16__)
  if (head.kernels.type == WordType::bf16) {
    return bf16_weights(scores, keys, head.scale, largest, to);
  }
#endif
  const float sum = exponentiate(scores, keys, head.scale, largest);
  to_words(head.kernels.type, scores, keys, to);
  std::fill(to + words_for(head.kernels.type, keys), to + head.words_of(keys), 0u);
  return sum;
}

/// A group of queries over one block of keys.
void group_over_block(const Head& head, int64_t query, int64_t group, int64_t keys, bool first,
                      const Workspace& space) {
  const int64_t dim = head.words(), padded = head.value_plan.padded(), width = head.key_width();
  const PanelKernel score = head.kernels.find(head.key_vectors(), group);
  const PanelSegment q = plain_segment(space.queries + query * dim, dim, dim);
  PanelOutput out = {};
  out.pixels = group;
  out.pixel_stride = kBlockKeys;
  out.channels = width;
  out.first = out.last = true;
  for (int64_t key = 0; key < keys; key += width) {
    out.y = space.scores + key;
    score(&q, 1, space.keys + key * dim, out);
  }

  const int64_t key_words = head.words_of(keys);
  for (int64_t i = 0; i < group; ++i) {
    float* scores = space.scores + i * kBlockKeys;
    float& largest = space.largest[query + i];
    float& total = space.total[query + i];
    const float before = largest;
    const float here = largest_of(scores, keys, head.scale);
    largest = first ? here : std::max(before, here);
    Word* weights = space.weights + i * kBlockKeys;
    const float sum = weigh(head, scores, keys, largest, weights);
    if (first) {
      total = sum;
    } else {
      // What earlier blocks gave was measured from a smaller maximum.
      const float shrink = before == largest ? 1.0f : std::exp(before - largest);
      total = total * shrink + sum;
      if (shrink != 1.0f) {
        float* sums = space.sums + (query + i) * padded;
        map_vec(sums, sums, padded, [=](Vec v) { return v * shrink; });
      }
    }
  }

  const PanelSegment weights = plain_segment(space.weights, key_words, kBlockKeys);
  const PanelPlan& plan = head.value_plan;
  out.first = first;
  out.last = false;
  out.sums_stride = padded;
  for (int64_t panel = 0; panel < plan.panels; ++panel) {
    out.sums = space.sums + query * padded + panel * plan.width();
    head.kernels.find(plan.vectors_of(panel), group)(
        &weights, 1, space.values + panel * plan.width() * key_words, out);
  }
}

void attend(const Head& head, Word* memory) {
  const AttentionRow& row = head.row;
  const Workspace space(memory, head);
  const int64_t dim = head.words(), filled_words = words_for(head.kernels.type, head.dim);
  for (int64_t query = 0; query < row.queries; ++query) {
    Word* to = space.queries + query * dim;
    const float* from = static_cast<const float*>(row.q) + query * head.token_stride + head.offset;
    to_words(head.kernels.type, from, head.dim, to);
    std::fill(to + filled_words, to + dim, 0u);
  }
  const int narrower = head.group_queries() <= head.kernels.pixels[head.value_plan.vectors]
                           ? head.key_vectors()
                           : head.value_plan.vectors;
  for (int64_t first = 0; first < row.keys; first += kBlockKeys) {
    const int64_t keys = std::min(kBlockKeys, row.keys - first);
    pack_keys(head, first, keys, space.keys);
    pack_values(head, first, keys, space.values);
    for (int64_t query = 0; query < row.queries;) {
      const int64_t group = head.kernels.group(narrower, row.queries - query);
      group_over_block(head, query, group, keys, first == 0, space);
      query += group;
    }
  }
  for (int64_t query = 0; query < row.queries; ++query) {
    const float inverse = 1.0f / space.total[query];
    map_vec(space.sums + query * head.value_plan.padded(),
            static_cast<float*>(row.out) + query * head.token_stride + head.offset, head.dim,
            [=](Vec v) { return v * inverse; });
  }
}

}  // namespace

void CpuOps::attention(const AttentionRow* rows, int64_t count, int64_t heads, int64_t head_dim,
                       float scale) {
  checks::attention(rows, count, heads, head_dim, DType::f32);
  const PanelPlan value_plan = plan_panels(head_dim, kernels_);
  const auto head_of = [&](int64_t task) {
    return Head{
        rows[task / heads], task % heads * head_dim, heads * head_dim, head_dim, scale, kernels_,
        value_plan};
  };
  size_t words = 0;
  double operations = 0;
  for (int64_t i = 0; i < count; ++i) {
    words = std::max(words, Workspace::words(head_of(i * heads)));
    operations += 4.0 * static_cast<double>(rows[i].queries * rows[i].keys) *
                  static_cast<double>(heads * head_dim);
  }
  parallel(count * heads, operations, words, [&](int64_t task, Word* memory) {
    const TileScope tiles;
    attend(head_of(task), memory);
  });
}

}  // namespace driftless
