// Attention: for each row and head the keys are packed into panels, then a few queries at a time
// pass through scores, softmax and values while everything they touch stays in cache.

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "ops/checks.h"
#include "ops/cpu_ops.h"
#include "ops/cpu_panel.h"

namespace driftless {

namespace {

constexpr PanelPlan kPlan = {2, 6};

int64_t padded(int64_t count) {
  return (count + kPlan.width() - 1) / kPlan.width() * kPlan.width();
}

/// Scratch of one (row, head) task.
struct Workspace {
  float* keys;    ///< Panels over keys: [panel][head_dim][panel width].
  float* values;  ///< Panels over channels: [panel][key][panel width].
  float* scores;  ///< [queries of a group][padded keys].

  static size_t floats(int64_t keys, int64_t head_dim) {
    return static_cast<size_t>(padded(keys) * head_dim + padded(head_dim) * keys +
                               kPlan.pixels * padded(keys));
  }
  Workspace(float* memory, int64_t key_count, int64_t head_dim)
      : keys(memory),
        values(keys + padded(key_count) * head_dim),
        scores(values + padded(head_dim) * key_count) {}
};

void pack(const AttentionRow& row, int64_t heads, int64_t head, int64_t head_dim,
          const Workspace& space) {
  const int64_t width = kPlan.width();
  for (int64_t key = 0; key < padded(row.keys); ++key) {
    float* to = space.keys + key / width * head_dim * width + key % width;
    if (key >= row.keys) {
      for (int64_t d = 0; d < head_dim; ++d) to[d * width] = 0.0f;
      continue;
    }
    const float* from = row.k + (key * heads + head) * head_dim;
    for (int64_t d = 0; d < head_dim; ++d) to[d * width] = from[d];
  }
  for (int64_t key = 0; key < row.keys; ++key) {
    const float* from = row.v + (key * heads + head) * head_dim;
    for (int64_t d = 0; d < padded(head_dim); d += width) {
      float* to = space.values + d * row.keys + key * width;
      const int64_t filled = std::min(width, head_dim - d);
      std::copy_n(from + d, filled, to);
      std::fill(to + filled, to + width, 0.0f);
    }
  }
}

/// Turns scores into exp(scale * (score - max)) and returns their sum.
float softmax(float* scores, int64_t count, float scale) {
  float largest = scores[0];
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, scores[i] * scale);
  largest = std::max(largest, scores[0] * scale);
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

void attend(const AttentionRow& row, int64_t heads, int64_t head, int64_t head_dim, float scale,
            float* memory) {
  const Workspace space(memory, row.keys, head_dim);
  pack(row, heads, head, head_dim, space);
  const int64_t key_stride = padded(row.keys), width = kPlan.width();
  const int64_t token_stride = heads * head_dim;
  for (int64_t query = 0; query < row.queries; query += kPlan.pixels) {
    const int64_t group = std::min<int64_t>(kPlan.pixels, row.queries - query);
    const PanelKernel kernel = panel_kernel_for(kPlan, group);
    const PanelSegment q = {row.q + query * token_stride + head * head_dim, head_dim, token_stride};
    for (int64_t key = 0; key < key_stride; key += width) {
      const PanelOutput out = {
          space.scores + key, nullptr, nullptr, key_stride, width, false, nullptr, true, true};
      kernel(&q, 1, space.keys + key * head_dim, out);
    }
    float inverse[kPlan.pixels];
    for (int64_t i = 0; i < group; ++i) {
      inverse[i] = 1.0f / softmax(space.scores + i * key_stride, row.keys, scale);
    }
    // All of a group's queries have been read by now, so `out` may be `q`.
    const PanelSegment weights = {space.scores, row.keys, key_stride};
    float* target = row.out + query * token_stride + head * head_dim;
    for (int64_t d = 0; d < head_dim; d += width) {
      const PanelOutput out = {
          target + d, nullptr, nullptr, token_stride, std::min(width, head_dim - d),
          false,      nullptr, true,    true};
      kernel(&weights, 1, space.values + d * row.keys, out);
    }
    for (int64_t i = 0; i < group; ++i) {
      for (int64_t d = 0; d < head_dim; ++d) target[i * token_stride + d] *= inverse[i];
    }
  }
}

}  // namespace

void CpuOps::attention(const AttentionRow* rows, int64_t count, int64_t heads, int64_t head_dim,
                       float scale) {
  checks::attention(rows, count, heads, head_dim);
  size_t floats = 0;
  for (int64_t i = 0; i < count; ++i) {
    floats = std::max(floats, Workspace::floats(rows[i].keys, head_dim));
  }
  for (int thread = 0; thread < threads_; ++thread) scratch(thread, floats);
  const int64_t tasks = count * heads;
#pragma omp parallel for num_threads(threads_) schedule(dynamic) if (threads_ > 1)
  for (int64_t task = 0; task < tasks; ++task) {
    attend(rows[task / heads], heads, task % heads, head_dim, scale,
           scratch(omp_get_thread_num(), floats));
  }
}

}  // namespace driftless
