#pragma once

// Norms, positions, rings, reductions and elementwise arithmetic.

#include <array>
#include <map>

#include "ops/cuda/cuda_attention.h"
#include "ops/cuda/noise.cuh"
#include "ops/cuda/norm.cuh"
#include "ops/cuda/reduce.cuh"
#include "ops/cuda/ring.cuh"
#include "ops/cuda/rope.cuh"
#include "ops/cuda/sink.cuh"

namespace driftless {

class CudaTokens : public CudaAttention {
 public:
  using CudaAttention::CudaAttention;

  void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const GroupVectors& scale, const GroupVectors& shift, float eps,
                  const Tensor& y) override {
    const auto s = checks::layer_norm(x, weight, bias, scale, shift, y, token_dtype());
    cuda::Modulation modulation;
    if (scale.data != nullptr) {
      modulation = {scale.data, shift.data, scale.stride, shift.stride,
                    std::max<int64_t>(1, s.rows / scale.groups)};
    }
    by_type(y, [&](auto* to) {
      cuda::layer_norm(on_device(x), on_device(weight), on_device(bias), modulation, eps, s.rows,
                       static_cast<int>(s.width), to, stream_.get());
    });
  }

  void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y) override {
    const auto s = checks::rms_norm(x, weight, y, token_dtype());
    by_type(y, [&](auto* to) {
      cuda::rms_norm(like(to, x), on_device(weight), eps, s.rows, static_cast<int>(s.width), to,
                     stream_.get());
    });
  }

  void rope3d(const Tensor& x, const double* positions, int64_t height, int64_t width,
              const Tensor& y) override {
    const auto s = checks::rope3d(x, height, width, y, token_dtype());
    by_type(y, [&](auto* to) { rotate(s, like(to, x), positions, to); });
  }

  // A grid of one token has no rotation but the temporal one.
  void rope_time(const Tensor& x, const double* positions, const Tensor& y) override {
    checks::RopeSizes s = checks::rope_time(x, y, token_dtype());
    s.heads *= x.dim(1);
    s.height = s.width = 1;
    by_type(y, [&](auto* to) { rotate(s, like(to, x), positions, to); });
  }

  void append_to_rings(const Tensor& q, const Tensor& k, const Tensor& v, const RingNorms& norms,
                       int64_t height, int64_t width, const RingRow* rows, int64_t count) override {
    const auto s = checks::append_to_rings(q, k, v, norms, height, width, rows, count,
                                           token_dtype(), ring_dtype());
    const cuda::RopeTables rope = grid_tables(s, height, width);
    const auto run = [&](auto* queries, auto* ring, auto* read) {
      append(queries, like(queries, k), like(queries, v), ring, read, norms, width, rope, s, rows,
             count);
    };
    const Tensor &ring = rows[0].ring.k, &rotated = rows[0].rotated;
    if (ring.dtype() == DType::e4m3) {
      return run(on_device<cuda::bf16>(q), on_device<cuda::e4m3>(ring),
                 on_device<cuda::bf16>(rotated));
    }
    // Rings of f32 take chunks of f32 alone.
    if (q.dtype() != DType::f32) {
      return with_token_type([&](auto zero) {
        auto* here = on_device<decltype(zero)>(ring);
        run(on_device<decltype(zero)>(q), here, here);
      });
    }
    by_type(ring, [&](auto* here) { run(on_device(q), here, here); });
  }

  void refresh_sink(const RingLayer& ring, const Tensor& k, const Tensor& v, int64_t leaving,
                    float threshold) override {
    const auto s = checks::refresh_sink(ring, k, v, leaving, token_dtype());
    if (ring.sinks == 0 || s.rows == 0) return;
    with_token_type([&](auto zero) {
      const auto refresh = [&](auto* keys, auto* to) {
        refresh_one(ring, to, keys, like(keys, v), s, leaving, threshold);
      };
      const auto into_ring = [&](auto* keys) {
        if (ring.k.dtype() == DType::f32) return refresh(keys, on_device(ring.k));
        refresh(keys, on_device<decltype(zero)>(ring.k));
      };
      if (k.dtype() == DType::f32) return into_ring(on_device(k));
      into_ring(on_device<decltype(zero)>(k));
    });
  }

  void normal_noise(uint64_t seed, uint64_t stream, uint64_t first, const Tensor& y) override {
    cuda::normal_noise(seed, stream, first, y.count(), on_device(y), stream_.get());
  }

  void channel_moments(const Tensor& x, const Tensor& y) override {
    const auto s = checks::channel_moments(x, y);
    cuda::channel_moments(on_device(x), s.rows, static_cast<int>(s.width), on_device(y),
                          stream_.get());
  }

  void timestep_embedding(const double* t, const Tensor& y) override {
    const auto s = checks::timestep_embedding(y);
    cuda::timestep_embedding(upload(kPositions, t, s.rows), s.rows, static_cast<int>(s.width / 2),
                             on_device(y), stream_.get());
  }

  void mean_rows(const Tensor& x, const Tensor& y) override {
    const auto s = checks::mean_rows(x, y);
    cuda::mean_rows(on_device(x), s.rows, s.width, on_device(y), stream_.get());
  }

  void activate(Activation activation, const Tensor& x, const Tensor& y) override {
    map_tokens("activate", x, y, cuda::Activate{activation});
  }

  void tanh_clamp(const Tensor& x, float limit, const Tensor& y) override {
    map_tokens("tanh_clamp", x, y, cuda::TanhClamp{limit});
  }

  void clamp(const Tensor& x, float low, float high, const Tensor& y) override {
    const int64_t count = checks::same_shape("clamp", x, y);
    cuda::map("clamp", on_device(x), on_device(y), count, count, cuda::Clamp{low, high},
              stream_.get());
  }

  void axpby(float a, const Tensor& x, float b, const Tensor& y, const Tensor& out) override {
    const int64_t count = checks::same_shape("axpby", x, y);
    checks::same_shape("axpby", x, out);
    cuda::map("axpby", on_device(x), on_device(out), count, count,
              cuda::Axpby<float>{a, b, on_device(y)}, stream_.get());
  }

  void affine_channels(const Tensor& x, const Tensor& scale, const Tensor& shift,
                       const Tensor& y) override {
    const auto s = checks::affine_channels(x, scale, shift, y);
    cuda::map("affine_channels", on_device(x), on_device(y), s.rows * s.width, s.width,
              cuda::AffineChannels{on_device(scale), on_device(shift), s.width}, stream_.get());
  }

  void mix_channels(const Tensor& x, const Tensor& matrix, const Tensor& y) override {
    const auto s = checks::mix_channels(x, matrix, y);
    cuda::mix_channels(on_device(x), on_device(matrix), s.rows, static_cast<int>(s.in),
                       static_cast<int>(s.out), on_device(y), stream_.get());
  }

  double mean_square_difference(const Tensor& a, const Tensor& b) override {
    const int64_t count = checks::same_shape("mean_square_difference", a, b);
    if (count == 0) return 0.0;
    double sums[cuda::kDifferenceBlocks];
    auto* device_sums = scratch_.take<double>(kSums, cuda::kDifferenceBlocks);
    cuda::square_differences(on_device(a), on_device(b), count, device_sums, stream_.get());
    fetch(device_sums, sums, sizeof sums);
    double total = 0.0;
    for (double sum : sums) total += sum;
    return total / static_cast<double>(count);
  }

 private:
  template <typename Function>
  void map_tokens(const char* name, const Tensor& x, const Tensor& y, const Function& function) {
    const int64_t count = checks::same_tokens(name, x, y, token_dtype());
    by_type(x, [&](auto* from) {
      cuda::map(name, from, like(from, y), count, count, function, stream_.get());
    });
  }

  /// Temporal positions, height, width, head size.
  using TableSizes = std::array<int64_t, 4>;

  /// Tables in memory of rotations() of them: temporal, then rows, then columns.
  static cuda::RopeTables lay_out(const TableSizes& sizes, cuda::Rotation* memory) {
    cuda::RopeTables tables = cuda::rope_split(static_cast<int>(sizes[3]));
    tables.t = memory;
    tables.h = memory + sizes[0] * tables.pairs_t;
    tables.w = tables.h + sizes[1] * tables.pairs_h;
    return tables;
  }
  static int64_t rotations(const TableSizes& sizes) {
    const cuda::RopeTables tables = cuda::rope_split(static_cast<int>(sizes[3]));
    return sizes[0] * tables.pairs_t + sizes[1] * tables.pairs_h + sizes[2] * tables.pairs_w;
  }
  /// positions [sizes[0]] on the device, or null for 0, 1, 2, ...
  void fill(const TableSizes& sizes, const double* positions, cuda::Rotation* memory) {
    const cuda::RopeTables tables = cuda::rope_split(static_cast<int>(sizes[3]));
    const auto table = [&](const double* from, int64_t count, int pairs) {
      cuda::rope_table(from, static_cast<int>(count), pairs, memory, stream_.get());
      memory += count * pairs;
    };
    table(positions, sizes[0], tables.pairs_t);
    table(nullptr, sizes[1], tables.pairs_h);
    table(nullptr, sizes[2], tables.pairs_w);
  }

  template <typename T>
  void rotate(const checks::RopeSizes& s, const T* x, const double* positions, T* y) {
    const TableSizes sizes{s.frames, s.height, s.width, s.head_dim};
    auto* memory = scratch_.take<cuda::Rotation>(kTables, rotations(sizes));
    const double* at = upload(kPositions, positions, s.frames);
    const cuda::RopeTables tables = lay_out(sizes, memory);
    fill(sizes, at, memory);
    cuda::rope3d(x, tables, s.frames, static_cast<int>(s.height), static_cast<int>(s.width),
                 static_cast<int>(s.heads), static_cast<int>(s.head_dim), y, stream_.get());
  }

  /// Tables of the positions in a ring and of a grid, kept from call to call.
  cuda::RopeTables grid_tables(const checks::RingSizes& s, int64_t height, int64_t width) {
    const TableSizes sizes{s.slots, height, width, s.head_dim};
    cuda::DeviceBuffer& kept = grid_tables_[sizes];
    if (kept.data() == nullptr) {
      kept = cuda::DeviceBuffer(static_cast<size_t>(rotations(sizes)) * sizeof(cuda::Rotation));
      fill(sizes, nullptr, static_cast<cuda::Rotation*>(kept.data()));
    }
    return lay_out(sizes, static_cast<cuda::Rotation*>(kept.data()));
  }

  /// What changes from chunk to chunk, of all rows, in one upload.
  template <typename Ring, typename Out>
  struct RingLists {
    const int64_t* frames;
    Ring* const* k;
    Ring* const* v;
    Out* const* rotated;
    Out* const* values;
    const float* thresholds;
  };
  template <typename Ring, typename Out>
  RingLists<Ring, Out> upload_rings(const RingRow* rows, int64_t count) {
    const auto n = static_cast<size_t>(count);
    const ArenaScope scope(host_arena());
    auto* list = static_cast<uint64_t*>(host_arena().allocate(6 * n * sizeof(uint64_t)));
    auto* thresholds = reinterpret_cast<float*>(list + 5 * n);
    for (size_t r = 0; r < n; ++r) {
      const RingRow& row = rows[r];
      list[r] = static_cast<uint64_t>(row.frames);
      list[n + r] = reinterpret_cast<uint64_t>(on_device<Ring>(row.ring.k));
      list[2 * n + r] = reinterpret_cast<uint64_t>(on_device<Ring>(row.ring.v));
      list[3 * n + r] = reinterpret_cast<uint64_t>(on_device<Out>(row.rotated));
      list[4 * n + r] = reinterpret_cast<uint64_t>(on_device<Out>(row.values));
      thresholds[r] = row.sink_due ? row.sink_threshold : cuda::kNoThreshold;
      thresholds[n + r] = 0;  // Two to a word: the second half only fills it.
    }
    const uint64_t* there = upload(kRings, list, 6 * count);
    auto* const* rings = reinterpret_cast<Ring* const*>(there);
    auto* const* read = reinterpret_cast<Out* const*>(there);
    return {reinterpret_cast<const int64_t*>(there),
            rings + n,
            rings + 2 * n,
            read + 3 * n,
            read + 4 * n,
            reinterpret_cast<const float*>(there + 5 * n)};
  }

  template <typename T, typename Ring, typename Out>
  void append(T* q, T* k, const T* v, const Ring* /*ring*/, const Out* /*read*/,
              const RingNorms& norms, int64_t width, const cuda::RopeTables& rope,
              const checks::RingSizes& s, const RingRow* rows, int64_t count) {
    const RingLists<Ring, Out> lists = upload_rings<Ring, Out>(rows, count);
    const int amount = static_cast<int>(count), tokens = static_cast<int>(s.tokens);
    const int heads = static_cast<int>(s.heads), head_dim = static_cast<int>(s.head_dim);
    const RingPlace place{s.slots, s.sinks};
    auto* plans = scratch_.take<cuda::RingPlan>(kPlans, count);
    cuda::plan_rings(lists.frames, amount, place, tokens, plans, stream_.get());
    const cuda::RingAppend<T, Ring> chunk = {q,
                                             k,
                                             v,
                                             on_device(norms.q),
                                             on_device(norms.k),
                                             lists.k,
                                             lists.v,
                                             plans,
                                             rope,
                                             tokens,
                                             static_cast<int>(width),
                                             heads,
                                             head_dim,
                                             norms.eps};
    // Also while none is due, so that the steps stay the same.
    const bool adapts = s.sinks > 0 && std::any_of(rows, rows + count, [](const RingRow& row) {
                          return row.sink_threshold > -1;
                        });
    if (adapts) {
      cuda::norm_rope(chunk, amount, stream_.get());
      refresh(k, v, lists, plans, s, amount);
      cuda::append_chunk(chunk, amount, stream_.get());
    } else {
      cuda::norm_rope_append(chunk, amount, stream_.get());
    }
    const cuda::RingRead<Ring, Out> read = {lists.k,      lists.v, lists.rotated, lists.values,
                                            lists.frames, place,   tokens,        rope,
                                            heads,        head_dim};
    cuda::read_keys(read, amount, stream_.get());
  }

  template <typename T, typename Ring, typename Out>
  void refresh(const T* k, const T* v, const RingLists<Ring, Out>& lists,
               const cuda::RingPlan* plans, const checks::RingSizes& s, int count) {
    const int width = static_cast<int>(s.heads * s.head_dim);
    const int64_t means = int64_t{count} * 2 * (s.sinks + 1) * width;
    cuda::refresh_sinks(cuda::SinkRefresh<T, Ring>{k, v, lists.k, lists.v, plans, lists.thresholds,
                                                   scratch_.take<float>(kMeans, means),
                                                   scratch_.take<int>(kChosen, count), s.sinks,
                                                   static_cast<int>(s.tokens), width},
                        count, stream_.get());
  }

  /// One ring; it need not be due by its age.
  template <typename T, typename Ring>
  void refresh_one(const RingLayer& ring, const Ring* /*type*/, const T* k, const T* v,
                   const checks::RowSizes& s, int64_t leaving, float threshold) {
    const RingRow row{ring, ring.k, 0, threshold, threshold > -1};
    const auto lists = upload_rings<Ring, Ring>(&row, 1);
    const cuda::RingPlan plan{static_cast<int>(leaving), 0, 0};
    const checks::RingSizes sizes{s.rows, 1, s.width, static_cast<int>(ring.k.dim(0)),
                                  static_cast<int>(ring.sinks)};
    refresh(k, v, lists, upload(kPlans, &plan, 1), sizes, 1);
  }

  std::map<TableSizes, cuda::DeviceBuffer> grid_tables_;
};

}  // namespace driftless
