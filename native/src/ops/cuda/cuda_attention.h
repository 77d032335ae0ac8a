#pragma once

// Attention: by our own kernels, or by cuDNN for sizes at which it was tried, said the same and was
// faster (prepare_attention).

#include <algorithm>
#include <cmath>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "ops/cuda/attention.cuh"
#include "ops/cuda/cuda_convolutions.h"
#include "ops/cuda/cudnn_attention.h"

namespace driftless {

class CudaAttention : public CudaConvolutions {
 public:
  using CudaConvolutions::CudaConvolutions;

  bool prepare_attention(int64_t queries, int64_t keys, int64_t heads, int64_t head_dim) override {
    if (!library_ || head_dim % 8 != 0 || queries < 1 || keys < 1) return false;
    return with_token_type([&](auto zero) {
      using T = decltype(zero);
      const cuda::AttentionSize size{queries, keys, heads, head_dim, dnn_type<T>()};
      if (plans_.knows(size)) return plans_.find(size) != nullptr;
      return plans_.keep(size, tried<cuda::DnnAttentionPlan>(size, [&](const auto& plan) {
                           return is_better<T>(plan);
                         })) != nullptr;
    });
  }

  void attention(const AttentionRow* rows, int64_t count, int64_t heads, int64_t head_dim,
                 float scale) override {
    checks::attention(rows, count, heads, head_dim, token_dtype());
    if (token_dtype() == DType::f32) return attend<float>(rows, count, heads, head_dim, scale);
    with_token_type(
        [&](auto zero) { attend<decltype(zero)>(rows, count, heads, head_dim, scale); });
  }

 private:
  template <typename T>
  using Blocks = std::vector<cuda::AttentionBlock<T>>;

  template <typename T>
  void attend(const AttentionRow* rows, int64_t count, int64_t heads, int64_t head_dim,
              float scale) {
    const int64_t width = heads * head_dim;
    Blocks<T> blocks(static_cast<size_t>(count));
    // What is not of type T yet is rounded into working memory.
    const auto foreign = [](DType dtype) {
      return !std::is_same_v<T, float> && dtype == DType::f32;
    };
    int64_t most = 0, values = 0;
    for (int64_t i = 0; i < count; ++i) {
      most = std::max(most, rows[i].queries);
      if (foreign(rows[i].dtype)) values += rows[i].queries * width + kAlign;
      if (foreign(rows[i].kv_dtype)) values += 2 * (rows[i].keys * width + kAlign);
    }
    T* next = values > 0 ? scratch_.take<T>(kBlocks, values) : nullptr;
    const auto as_t = [&](const void* from, DType dtype, int64_t tokens) -> T* {
      if (!foreign(dtype)) return static_cast<T*>(const_cast<void*>(from));
      T* to = next;
      next += (tokens * width + kAlign - 1) / kAlign * kAlign;
      cuda::map("convert", static_cast<const float*>(from), to, tokens * width, width,
                cuda::Convert{}, stream_.get());
      return to;
    };
    for (int64_t i = 0; i < count; ++i) {
      cuda::AttentionBlock<T>& block = blocks[static_cast<size_t>(i)];
      const AttentionRow& row = rows[i];
      T* q = as_t(row.q, row.dtype, row.queries);
      block = {q, as_t(row.k, row.kv_dtype, row.keys), as_t(row.v, row.kv_dtype, row.keys),
               q, static_cast<int>(row.queries),       static_cast<int>(row.keys)};
      if (!foreign(row.dtype)) block.out = static_cast<T*>(row.out);
    }
    start_rows(blocks, most, heads, head_dim, scale);
    if constexpr (!std::is_same_v<T, float>) {
      for (int64_t i = 0; i < count; ++i) {
        if (!foreign(rows[i].dtype)) continue;
        cuda::map("convert", blocks[static_cast<size_t>(i)].q, static_cast<float*>(rows[i].out),
                  rows[i].queries * width, width, cuda::Convert{}, stream_.get());
      }
    }
  }

  template <typename T>
  void start_rows(const Blocks<T>& blocks, int64_t most_queries, int64_t heads, int64_t head_dim,
                  float scale) {
    if constexpr (!std::is_same_v<T, float>) {
      if (library_) {
        const Blocks<T> ours = by_library(blocks, heads, head_dim, scale);
        return own_attention(ours, most_queries, heads, head_dim, scale);
      }
    }
    own_attention(blocks, most_queries, heads, head_dim, scale);
  }

  template <typename T>
  void own_attention(const Blocks<T>& blocks, int64_t most_queries, int64_t heads, int64_t head_dim,
                     float scale) {
    if (blocks.empty()) return;
    const auto count = static_cast<int64_t>(blocks.size());
    cuda::attention(blocks.data(), upload(kAttention, blocks.data(), count),
                    static_cast<int>(count), static_cast<int>(most_queries),
                    static_cast<int>(heads), static_cast<int>(head_dim), scale, stream_.get());
  }

  /// Starts the rows that cuDNN does, and returns the others. Which these are depends on a row's
  /// size alone, so a row is the same in any company.
  template <typename T>
  Blocks<T> by_library(const Blocks<T>& blocks, int64_t heads, int64_t head_dim, float scale) {
    Blocks<T> ours;
    for (const auto& block : blocks) {
      const cuda::AttentionSize size{block.queries, block.keys, heads, head_dim, dnn_type<T>()};
      const cuda::DnnAttentionPlan* plan = plans_.find(size);
      const bool takes = plan != nullptr && block.out != block.q &&
                         cuda::can_vectorise<T>(head_dim, block.q, block.k, block.v, block.out);
      if (takes) {
        start(*plan, block, scale);
      } else {
        ours.push_back(block);
      }
    }
    return ours;
  }

  template <typename T>
  void start(const cuda::DnnAttentionPlan& plan, const cuda::AttentionBlock<T>& block,
             float scale) {
    void* workspace = workspace_of(plan);
    const cuda::dnn::Handle handle = library_->handle();
    const auto run = [=, &plan](cudaStream_t) {
      plan.run(handle, block.q, block.k, block.v, block.out, scale, workspace);
    };
    cuda::put_on_stream(stream_.get(), run, kAttentionStep, &plan, block.q, block.k, block.v,
                        block.out, scale, workspace);
  }

  /// Whether cuDNN says what our own kernel says, and clearly sooner: for one row, and for four.
  template <typename T>
  bool is_better(const cuda::DnnAttentionPlan& plan) {
    const cuda::AttentionSize& size = plan.size();
    const int64_t width = size.heads * size.head_dim;
    const int64_t few = size.queries * width, many = size.keys * width;
    // q, k, v, and what both say.
    cuda::DeviceBuffer values(static_cast<size_t>(3 * few + 2 * many + 5 * kAlign) * sizeof(T));
    auto* next = static_cast<T*>(values.data());
    const auto take = [&](int64_t count) {
      T* here = next;
      next += (count + kAlign - 1) / kAlign * kAlign;
      return here;
    };
    T *q = take(few), *k = take(many), *v = take(many), *own = take(few), *theirs = take(few);
    fill(q, few, 1);
    fill(k, many, 2);
    fill(v, many, 3);
    const float scale = 1.0f / std::sqrt(static_cast<float>(size.head_dim));
    const auto block = [&](T* out) -> cuda::AttentionBlock<T> {
      return {q, k, v, out, static_cast<int>(size.queries), static_cast<int>(size.keys)};
    };
    const auto ours = [&](int64_t rows) {
      own_attention(Blocks<T>(static_cast<size_t>(rows), block(own)), size.queries, size.heads,
                    size.head_dim, scale);
    };
    const auto library = [&](int64_t rows) {
      for (int64_t row = 0; row < rows; ++row) start(plan, block(theirs), scale);
    };
    ours(1);
    library(1);
    if (!alike(own, theirs, few)) return false;
    for (const int64_t rows : {1, 4}) {
      const double own = seconds([&] { ours(rows); });
      if (own < kLeastSeconds * static_cast<double>(rows)) return false;
      if (seconds([&] { library(rows); }) > kMostShare * own) return false;
    }
    return true;
  }

  static constexpr int64_t kAlign = 8;  // Elements of 16 bits in 16 bytes.
  /// Of a row: where it takes less, launches count, and ours are the same in any company, so that a
  /// graph holds them.
  static constexpr double kLeastSeconds = 50e-6;

  cuda::DnnPlans<cuda::AttentionSize, cuda::DnnAttentionPlan> plans_;
};

}  // namespace driftless
