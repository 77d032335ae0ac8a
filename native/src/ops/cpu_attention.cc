// Attention in the manner of FlashAttention: keys and values pass block by block, packed into
// panels that stay in the second-level cache while all queries go over them; each query carries its
// running maximum, weight sum and weighted values.

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "ops/checks.h"
#include "ops/cpu_ops.h"
#include "ops/cpu_panel.h"

namespace driftless {

namespace {

constexpr PanelPlan kPlan = {2, 6};
/// Keys and values of a block take 2 * 256 * head_dim floats: 128 kB at 64, 256 kB at 128.
constexpr int64_t kBlockKeys = 256;

int64_t padded(int64_t count) {
  return (count + kPlan.width() - 1) / kPlan.width() * kPlan.width();
}

/// Scratch of one (row, head) task.
struct Workspace {
  float* keys;     ///< Panels over a block's keys: [panel][head_dim][panel width].
  float* values;   ///< Panels over channels: [panel][key][panel width].
  float* scores;   ///< [queries of a group][kBlockKeys].
  float* sums;     ///< Weighted values so far, [panel][query][panel width].
  float* largest;  ///< [query]
  float* total;    ///< [query]

  static size_t floats(int64_t queries, int64_t head_dim) {
    return static_cast<size_t>(kBlockKeys * (head_dim + padded(head_dim) + kPlan.pixels) +
                               queries * (padded(head_dim) + 2));
  }
  Workspace(float* memory, int64_t queries, int64_t head_dim)
      : keys(memory),
        values(keys + kBlockKeys * head_dim),
        scores(values + kBlockKeys * padded(head_dim)),
        sums(scores + kBlockKeys * kPlan.pixels),
        largest(sums + queries * padded(head_dim)),
        total(largest + queries) {}
};

/// One head of one row.
struct Head {
  const AttentionRow& row;
  int64_t offset, token_stride, dim;
  float scale;
};

void pack_block(const Head& head, int64_t first, int64_t count, const Workspace& space) {
  const int64_t width = kPlan.width();
  // Panel by panel, so that the keys being transposed stay in the first-level cache.
  for (int64_t panel = 0; panel < count; panel += width) {
    const float* from = head.row.k + (first + panel) * head.token_stride + head.offset;
    float* to = space.keys + panel * head.dim;
    const int64_t filled = std::min(width, count - panel);
    if (filled < width) std::fill(to, to + width * head.dim, 0.0f);
    for (int64_t d = 0; d < head.dim; ++d) {
      for (int64_t key = 0; key < filled; ++key) {
        to[d * width + key] = from[key * head.token_stride + d];
      }
    }
  }
  for (int64_t key = 0; key < count; ++key) {
    const float* from = head.row.v + (first + key) * head.token_stride + head.offset;
    for (int64_t d = 0; d < head.dim; d += width) {
      float* to = space.values + d * count + key * width;
      const int64_t filled = std::min(width, head.dim - d);
      std::copy_n(from + d, filled, to);
      std::fill(to + filled, to + width, 0.0f);
    }
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

/// A group of queries over one block of keys.
void group_over_block(const Head& head, int64_t query, int64_t group, int64_t keys, bool first,
                      const Workspace& space) {
  const int64_t width = kPlan.width();
  const PanelKernel kernel = panel_kernel_for(kPlan, group);
  const PanelSegment q = {head.row.q + query * head.token_stride + head.offset, head.dim,
                          head.token_stride};
  PanelOutput out = {};
  out.pixel_stride = kBlockKeys;
  out.channels = width;
  out.first = out.last = true;
  for (int64_t key = 0; key < keys; key += width) {
    out.y = space.scores + key;
    kernel(&q, 1, space.keys + key * head.dim, out);
  }

  const int64_t queries = head.row.queries;
  for (int64_t i = 0; i < group; ++i) {
    float* scores = space.scores + i * kBlockKeys;
    float& largest = space.largest[query + i];
    float& total = space.total[query + i];
    const float before = largest;
    const float here = largest_of(scores, keys, head.scale);
    largest = first ? here : std::max(before, here);
    const float sum = exponentiate(scores, keys, head.scale, largest);
    if (first) {
      total = sum;
    } else {
      // What earlier blocks gave was measured from a smaller maximum.
      const float shrink = before == largest ? 1.0f : std::exp(before - largest);
      total = total * shrink + sum;
      if (shrink != 1.0f) {
        for (int64_t d = 0; d < head.dim; d += width) {
          float* sums = space.sums + d * queries + (query + i) * width;
          for (int64_t lane = 0; lane < width; ++lane) sums[lane] *= shrink;
        }
      }
    }
  }

  const PanelSegment weights = {space.scores, keys, kBlockKeys};
  out.first = first;
  out.last = false;
  for (int64_t d = 0; d < head.dim; d += width) {
    out.sums = space.sums + d * queries + query * width;
    kernel(&weights, 1, space.values + d * keys, out);
  }
}

void attend(const Head& head, float* memory) {
  const AttentionRow& row = head.row;
  const Workspace space(memory, row.queries, head.dim);
  for (int64_t first = 0; first < row.keys; first += kBlockKeys) {
    const int64_t keys = std::min(kBlockKeys, row.keys - first);
    pack_block(head, first, keys, space);
    for (int64_t query = 0; query < row.queries; query += kPlan.pixels) {
      const int64_t group = std::min<int64_t>(kPlan.pixels, row.queries - query);
      group_over_block(head, query, group, keys, first == 0, space);
    }
  }
  // Only now are the head's queries no longer needed: `out` may be `q`.
  const int64_t width = kPlan.width();
  for (int64_t query = 0; query < row.queries; ++query) {
    const float inverse = 1.0f / space.total[query];
    float* out = row.out + query * head.token_stride + head.offset;
    for (int64_t d = 0; d < head.dim; d += width) {
      const float* sums = space.sums + d * row.queries + query * width;
      const int64_t filled = std::min(width, head.dim - d);
      for (int64_t lane = 0; lane < filled; ++lane) out[d + lane] = inverse * sums[lane];
    }
  }
}

}  // namespace

void CpuOps::attention(const AttentionRow* rows, int64_t count, int64_t heads, int64_t head_dim,
                       float scale) {
  checks::attention(rows, count, heads, head_dim);
  size_t floats = 0;
  for (int64_t i = 0; i < count; ++i) {
    floats = std::max(floats, Workspace::floats(rows[i].queries, head_dim));
  }
  for (int thread = 0; thread < threads_; ++thread) scratch(thread, floats);
  const int64_t tasks = count * heads;
#pragma omp parallel for num_threads(threads_) schedule(dynamic) if (threads_ > 1)
  for (int64_t task = 0; task < tasks; ++task) {
    const Head head = {rows[task / heads], task % heads * head_dim, heads * head_dim, head_dim,
                       scale};
    attend(head, scratch(omp_get_thread_num(), floats));
  }
}

}  // namespace driftless
