// Checks of norm.cuh, rope.cuh, ring.cuh and the elementwise and reducing kernels.

#include <vector>

#include "cuda/kernel_check_support.h"
#include "ops/cuda/reduce.cuh"
#include "ops/cuda/ring.cuh"
#include "ops/cuda/sink.cuh"
#include "stream/rolling_cache.h"

namespace driftless {

namespace {

template <typename T>
KernelResult layer_norm(KernelRun& run) {
  const int64_t rows = run.size("rows"), width = run.size("width"), groups = run.size("groups");
  const bool from_f32 = run.flag("from_f32");
  const Tensor x = from_f32 ? run.random<float>({rows, width}) : run.random<T>({rows, width});
  const Tensor weight = run.random<float>({width}), bias = run.random<float>({width});
  const Tensor six = run.random<float>({groups, 6, width});
  const bool affine = run.flag("affine"), modulate = run.flag("modulate");
  GroupVectors scale, shift;
  cuda::Modulation modulation;
  const KernelBuffer<float> w(weight), b(bias), m(six);
  if (modulate) {
    scale = {six.f32() + width, groups, 6 * width};
    shift = {six.f32(), groups, 6 * width};
    modulation = {m.data() + width, m.data(), 6 * width, 6 * width, rows / groups};
  }
  const Tensor expected = run.empty({rows, width});
  run.oracle->layer_norm(x, affine ? weight : Tensor(), affine ? bias : Tensor(), scale, shift,
                         1e-6f, expected);
  const KernelBuffer<float> wide(x, run.size("offset"));
  const KernelBuffer<T> y(x, run.size("offset"));
  const auto norm = [&](const auto* from) {
    cuda::layer_norm(from, affine ? w.data() : nullptr, affine ? b.data() : nullptr, modulation,
                     1e-6f, rows, static_cast<int>(width), y.data(), nullptr);
  };
  if (from_f32) {
    norm(wide.data());
  } else {
    norm(y.data());  // In place.
  }
  return run.compare(expected, y);
}

template <typename T>
KernelResult rms_norm(KernelRun& run) {
  const int64_t rows = run.size("rows"), width = run.size("width");
  const Tensor x = run.random<T>({rows, width}), weight = run.random<float>({width});
  const Tensor expected = run.empty({rows, width});
  run.oracle->rms_norm(x, weight, 1e-6f, expected);
  const KernelBuffer<T> y(x, run.size("offset"));
  const KernelBuffer<float> w(weight);
  cuda::rms_norm(y.data(), w.data(), 1e-6f, rows, static_cast<int>(width), y.data(), nullptr);
  return run.compare(expected, y);
}

/// The tables of a token grid and `positions` temporal positions, or of 0..temporal - 1.
class Tables {
 public:
  Tables(const std::vector<double>& positions, int temporal, int height, int width, int head_dim)
      : rope_(cuda::rope_split(head_dim)),
        t_(temporal * rope_.pairs_t),
        h_(height * rope_.pairs_h),
        w_(width * rope_.pairs_w),
        positions_(static_cast<int64_t>(positions.size())) {
    std::copy(positions.begin(), positions.end(), positions_.data());
    cuda::rope_table(positions.empty() ? nullptr : positions_.data(), temporal, rope_.pairs_t,
                     t_.data(), nullptr);
    cuda::rope_table(nullptr, height, rope_.pairs_h, h_.data(), nullptr);
    cuda::rope_table(nullptr, width, rope_.pairs_w, w_.data(), nullptr);
    rope_.t = t_.data();
    rope_.h = h_.data();
    rope_.w = w_.data();
  }
  const cuda::RopeTables& get() const { return rope_; }

 private:
  cuda::RopeTables rope_;
  KernelBuffer<cuda::Rotation> t_, h_, w_;
  KernelBuffer<double> positions_;
};

template <typename T>
KernelResult rope3d(KernelRun& run) {
  const int64_t frames = run.size("frames"), height = run.size("height"), width = run.size("width");
  const int64_t heads = run.size("heads"), head_dim = run.size("head_dim");
  std::vector<double> positions;
  for (int64_t f = 0; f < frames; ++f) positions.push_back(f % 2 == 0 ? 3.0 * f : 1000.5 - f);
  const Tensor x = run.random<T>({frames, height * width, heads, head_dim});
  const Tensor expected = run.empty(x.shape());
  run.oracle->rope3d(x, positions.data(), height, width, expected);
  const Tables tables(positions, static_cast<int>(frames), static_cast<int>(height),
                      static_cast<int>(width), static_cast<int>(head_dim));
  const KernelBuffer<T> y(x);
  cuda::rope3d(y.data(), tables.get(), frames, static_cast<int>(height), static_cast<int>(width),
               static_cast<int>(heads), static_cast<int>(head_dim), y.data(), nullptr);
  return run.compare(expected, y);
}

/// Several chunks of several rows through the device's ring and through RollingCache: queries, the
/// keys to attend over, and values. Each row starts at another age.
template <typename T, typename Ring = T>
KernelResult ring(KernelRun& run) {
  const int rows = run.integer("rows"), chunks = run.integer("chunks");
  const int height = run.integer("height"), width = run.integer("width");
  const int heads = run.integer("heads"), head_dim = run.integer("head_dim");
  const RingPlace place = {run.integer("kv_frames"), run.integer("sinks")};
  const int64_t d = int64_t{heads} * head_dim, tokens = int64_t{height} * width;
  const int64_t ring_size = place.slots * tokens * d;
  const auto threshold = static_cast<float>(run.size("threshold"));
  const Tables tables({}, place.slots, height, width, head_dim);
  const Tensor q_weight = run.random<float>({d}), k_weight = run.random<float>({d});
  const KernelBuffer<float> qw(q_weight), kw(k_weight);
  KernelBuffer<Ring> k_rings(rows * ring_size), v_rings(rows * ring_size);
  KernelBuffer<T> keys(rows * ring_size), values(rows * ring_size);
  KernelBuffer<Ring*> k_pointers(rows), v_pointers(rows);
  KernelBuffer<T*> key_pointers(rows), value_pointers(rows);
  KernelBuffer<int64_t> frames(rows);
  KernelBuffer<cuda::RingPlan> plans(rows);
  KernelBuffer<float> thresholds(rows), means(rows * 2 * (place.sinks + 1) * d);
  KernelBuffer<int> chosen(rows);
  std::vector<RollingCache> caches;
  for (int row = 0; row < rows; ++row) {
    caches.emplace_back(RollingConfig{static_cast<int>(tokens), place.slots, place.sinks, threshold,
                                      1, heads, head_dim},
                        *run.oracle);
    k_pointers.data()[row] = k_rings.data() + row * ring_size;
    v_pointers.data()[row] = v_rings.data() + row * ring_size;
    key_pointers.data()[row] = keys.data() + row * ring_size;
    value_pointers.data()[row] = values.data() + row * ring_size;
    frames.data()[row] = 0;
    thresholds.data()[row] = cuda::kNoThreshold;
  }
  // A rounding to the rings' type, in roundings to T.
  const double stored = Rounding<Ring>::value / Rounding<T>::value;
  KernelResult worst;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const Tensor q = run.random<T>({rows * tokens, d}), k = run.random<T>({rows * tokens, d});
    const Tensor v = run.random<T>({rows * tokens, d});
    const KernelBuffer<T> dq(q), dk(k), dv(v);
    const cuda::RingAppend<T, Ring> append = {dq.data(),
                                              dk.data(),
                                              dv.data(),
                                              qw.data(),
                                              kw.data(),
                                              k_pointers.data(),
                                              v_pointers.data(),
                                              plans.data(),
                                              tables.get(),
                                              static_cast<int>(tokens),
                                              width,
                                              heads,
                                              head_dim,
                                              1e-6f};
    cuda::plan_rings(frames.data(), rows, place, static_cast<int>(tokens), plans.data(), nullptr);
    if (threshold <= -1) {
      cuda::norm_rope_append(append, rows, nullptr);
    } else {
      if (chunk == place.slots) std::fill_n(thresholds.data(), rows, threshold);
      cuda::norm_rope(append, rows, nullptr);
      cuda::refresh_sinks(
          cuda::SinkRefresh<T, Ring>{dk.data(), dv.data(), k_pointers.data(), v_pointers.data(),
                                     plans.data(), thresholds.data(), means.data(), chosen.data(),
                                     place.sinks, static_cast<int>(tokens), static_cast<int>(d)},
          rows, nullptr);
      cuda::append_chunk(append, rows, nullptr);
    }
    cuda::read_keys(
        cuda::RingRead<Ring, T>{k_pointers.data(), v_pointers.data(), key_pointers.data(),
                                value_pointers.data(), frames.data(), place,
                                static_cast<int>(tokens), tables.get(), heads, head_dim},
        rows, nullptr);
    cuda::check(cudaStreamSynchronize(nullptr), "ring kernels");
    for (int row = 0; row < rows; ++row) ++frames.data()[row];

    run.oracle->rms_norm(q, q_weight, 1e-6f, q);
    run.oracle->rms_norm(k, k_weight, 1e-6f, k);
    for (int row = 0; row < rows; ++row) {
      RollingCache& cache = caches[static_cast<size_t>(row)];
      const Shape grid = {1, tokens, heads, head_dim};
      const Tensor queries = q.slice(row * tokens, (row + 1) * tokens).reshape(grid);
      const Tensor fresh = k.slice(row * tokens, (row + 1) * tokens).reshape(grid);
      const double query_position = cache.query_position(cache.moment());
      const double key_position = cache.key_position(cache.moment());
      run.oracle->rope3d(queries, &query_position, height, width, queries);
      run.oracle->rope3d(fresh, &key_position, height, width, fresh);
      const KvTurn turn{*run.oracle, 0, cache.moment(), run.empty(cache.rotated_shape())};
      const KvView view =
          cache.append(turn, fresh.reshape({tokens, d}), v.slice(row * tokens, (row + 1) * tokens));
      cache.finish();
      DL_CHECK_EQ("keys of a row", view.tokens, plans.data()[row].keys);
      const int64_t valid = view.tokens * d;
      KernelBuffer<T> got_keys(valid), got_values(valid);
      std::copy_n(key_pointers.data()[row], valid, got_keys.data());
      if constexpr (std::is_same_v<T, Ring>) {
        std::copy_n(v_pointers.data()[row], valid, got_values.data());
      } else {
        std::copy_n(value_pointers.data()[row], valid, got_values.data());
      }
      for (const KernelResult& result :
           {run.compare(Tensor({valid}, const_cast<float*>(view.k_f32())), got_keys, 1 + stored),
            run.compare(Tensor({valid}, const_cast<float*>(view.v_f32())), got_values, stored)}) {
        worst.error = std::max(worst.error, result.error);
        worst.hash = worst.hash * 31 + result.hash;
      }
    }
    const KernelResult queries = run.compare(q, dq);
    worst.error = std::max(worst.error, queries.error);
    // The rounding of a stored pair's larger value reaches the smaller one by the rotation.
    worst.tolerance = queries.tolerance * 5 * stored;
    worst.hash = worst.hash * 31 + queries.hash;
  }
  k_rings.require_intact();
  v_rings.require_intact();
  keys.require_intact();
  values.require_intact();
  return worst;
}

template <typename T>
KernelResult activate(KernelRun& run) {
  const int64_t count = run.size("count");
  const Tensor x = run.random<T>({count}, 4.0f), expected = run.empty({count});
  const auto activation = static_cast<Activation>(run.integer("activation"));
  run.oracle->activate(activation, x, expected);
  const KernelBuffer<T> y(x, run.size("offset"));
  cuda::map("activate", y.data(), y.data(), count, count, cuda::Activate{activation}, nullptr);
  return run.compare(expected, y);
}

/// Bias, activation, gate and residual behind a product with the unit matrix.
template <typename T>
KernelResult linear_tail(KernelRun& run) {
  const int64_t rows = run.size("rows"), width = run.size("width"), groups = run.size("groups");
  const Tensor x = run.random<T>({rows, width}), residual = run.random<T>({rows, width});
  const Tensor bias = run.random<float>({width}), gate = run.random<float>({groups, width});
  const Tensor unit = run.arena.zeros({width, width}), expected = run.empty({rows, width});
  for (int64_t i = 0; i < width; ++i) unit.f32()[i * width + i] = 1.0f;
  LinearEpilogue epilogue;
  epilogue.activation = static_cast<Activation>(run.integer("activation"));
  epilogue.residual = residual;
  epilogue.gate = {gate.f32(), groups, width};
  run.oracle->linear(*run.oracle->pack_linear(unit, bias), x, expected, epilogue);
  const KernelBuffer<T> in(x), y(residual, run.size("offset"));  // The residual is the output.
  const KernelBuffer<float> b(bias), g(gate);
  cuda::LinearTail<T> tail;
  tail.bias = b.data();
  tail.activation = epilogue.activation;
  tail.gate = g.data();
  tail.gate_stride = width;
  tail.rows_per_gate = rows / groups;
  tail.residual = y.data();
  tail.width = width;
  cuda::map("linear_tail", in.data(), y.data(), rows * width, width, tail, nullptr);
  return run.compare(expected, y);
}

template <typename T>
KernelResult tanh_clamp(KernelRun& run) {
  const int64_t count = run.size("count");
  const Tensor x = run.random<T>({count}, 4.0f), expected = run.empty({count});
  run.oracle->tanh_clamp(x, 3.0f, expected);
  const KernelBuffer<T> in(x), y(count);
  cuda::map("tanh_clamp", in.data(), y.data(), count, count, cuda::TanhClamp{3.0f}, nullptr);
  return run.compare(expected, y);
}

/// x0 = x - sigma * flow, a factor per row on the device and one for all.
template <typename T>
KernelResult axpby(KernelRun& run) {
  const int64_t rows = run.size("rows"), width = run.size("width");
  const Tensor x = run.random<T>({rows, width}), flow = run.random<T>({rows, width});
  const Tensor expected = run.empty({rows, width});
  const KernelBuffer<T> in(x), other(flow, run.size("offset")), y(rows * width);
  KernelBuffer<cuda::Vec<float, 2>> factors(rows);
  const bool of_rows = run.flag("of_rows");
  for (int64_t row = 0; row < rows; ++row) {
    const float sigma = of_rows ? 0.25f + 0.5f * static_cast<float>(row) : 0.75f;
    factors.data()[row] = {{1.0f, -sigma}};
    run.oracle->axpby(1.0f, x.slice(row, row + 1), -sigma, flow.slice(row, row + 1),
                      expected.slice(row, row + 1));
  }
  if (of_rows) {
    cuda::map("axpby", in.data(), y.data(), rows * width, width,
              cuda::AxpbyOfRows<T>{factors.data(), width, other.data()}, nullptr);
  } else {
    cuda::map("axpby", in.data(), y.data(), rows * width, width,
              cuda::Axpby<T>{1.0f, -0.75f, other.data()}, nullptr);
  }
  return run.compare(expected, y);
}

template <typename T>
KernelResult gated_bias(KernelRun& run) {
  const int64_t groups = run.size("groups"), width = run.size("width"), stride = 3 * width + 1;
  const Tensor gate = run.random<T>({groups, stride}), bias = run.random<T>({width});
  const Tensor expected = run.empty({groups, width});
  for (int64_t i = 0; i < groups * width; ++i) {
    expected.f32()[i] = gate.f32()[i / width * stride + i % width] * bias.f32()[i % width];
  }
  const KernelBuffer<float> g(gate), b(bias), y(groups * width);
  cuda::gated_bias(g.data(), stride, groups, b.data(), width, y.data(), nullptr);
  return run.compare(expected, y);
}

template <typename T>
KernelResult affine_channels(KernelRun& run) {
  const int64_t rows = run.size("rows"), width = run.size("width");
  const Tensor x = run.random<T>({rows, width}), scale = run.random<float>({width});
  const Tensor shift = run.random<float>({width}), expected = run.empty({rows, width});
  run.oracle->affine_channels(x, scale, shift, expected);
  const KernelBuffer<T> y(x);
  const KernelBuffer<float> s(scale), t(shift);
  cuda::map("affine_channels", y.data(), y.data(), rows * width, width,
            cuda::AffineChannels{s.data(), t.data(), width}, nullptr);
  return run.compare(expected, y);
}

template <typename T>
KernelResult mix_channels(KernelRun& run) {
  const int64_t rows = run.size("rows"), in = run.size("in"), out = run.size("out");
  const Tensor x = run.random<T>({rows, in}), matrix = run.random<float>({out, in});
  const Tensor expected = run.empty({rows, out});
  run.oracle->mix_channels(x, matrix, expected);
  const KernelBuffer<T> from(x), y(rows * out);
  const KernelBuffer<float> m(matrix);
  cuda::mix_channels(from.data(), m.data(), rows, static_cast<int>(in), static_cast<int>(out),
                     y.data(), nullptr);
  return run.compare(expected, y);
}

template <typename T>
KernelResult mean_rows(KernelRun& run) {
  const int64_t rows = run.size("rows"), width = run.size("width");
  const Tensor x = run.random<T>({rows, width}), expected = run.empty({width});
  run.oracle->mean_rows(x, expected);
  const KernelBuffer<T> in(x), y(width);
  cuda::mean_rows(in.data(), rows, width, y.data(), nullptr);
  return run.compare(expected, y);
}

template <typename T>
KernelResult square_differences(KernelRun& run) {
  const int64_t count = run.size("count");
  const Tensor a = run.random<T>({count}), b = run.random<T>({count}), expected = run.empty({1});
  expected.f32()[0] =
      static_cast<float>(run.oracle->mean_square_difference(a, b) * static_cast<double>(count));
  const KernelBuffer<T> left(a), right(b);
  const KernelBuffer<double> sums(cuda::kDifferenceBlocks);
  cuda::square_differences(left.data(), right.data(), count, sums.data(), nullptr);
  cuda::check(cudaStreamSynchronize(nullptr), "square_differences");
  sums.require_intact();
  double total = 0.0;
  for (int i = 0; i < cuda::kDifferenceBlocks; ++i) total += sums.data()[i];
  KernelBuffer<float> got(1);
  got.data()[0] = static_cast<float>(total);
  return run.compare(expected, got);
}

KernelResult timestep_embedding(KernelRun& run) {
  const int64_t n = run.size("n"), dim = run.size("dim");
  KernelBuffer<double> t(n);
  for (int64_t i = 0; i < n; ++i) t.data()[i] = 1000.0 / static_cast<double>(i + 1);
  const Tensor expected = run.empty({n, dim});
  run.oracle->timestep_embedding(t.data(), expected);
  const KernelBuffer<float> y(n * dim);
  cuda::timestep_embedding(t.data(), n, static_cast<int>(dim / 2), y.data(), nullptr);
  return run.compare(expected, y);
}

}  // namespace

KernelTable token_kernel_checks() {
  const std::map<std::string, int64_t> ring_sizes = {
      {"rows", 2},      {"chunks", 9},    {"height", 2}, {"width", 3},     {"heads", 2},
      {"head_dim", 16}, {"kv_frames", 4}, {"sinks", 1},  {"threshold", -1}};
  return {
      {"layer_norm", DL_KERNEL_CHECK(layer_norm, {{"rows", 6},
                                                  {"width", 64},
                                                  {"groups", 2},
                                                  {"affine", 1},
                                                  {"modulate", 1},
                                                  {"from_f32", 0},
                                                  {"offset", 0}})},
      {"rms_norm", DL_KERNEL_CHECK(rms_norm, {{"rows", 5}, {"width", 64}, {"offset", 0}})},
      {"rope3d",
       DL_KERNEL_CHECK(
           rope3d, {{"frames", 2}, {"height", 3}, {"width", 5}, {"heads", 2}, {"head_dim", 64}})},
      {"ring", DL_KERNEL_CHECK(ring, ring_sizes)},
      {"ring_e4m3", KernelCheck{ring_sizes, nullptr, ring<cuda::bf16, cuda::e4m3>}},
      {"activate", DL_KERNEL_CHECK(activate, {{"count", 1000}, {"activation", 3}, {"offset", 0}})},
      {"linear_tail",
       DL_KERNEL_CHECK(
           linear_tail,
           {{"rows", 6}, {"width", 40}, {"groups", 3}, {"activation", 3}, {"offset", 0}})},
      {"tanh_clamp", DL_KERNEL_CHECK(tanh_clamp, {{"count", 1000}})},
      {"axpby",
       DL_KERNEL_CHECK(axpby, {{"rows", 3}, {"width", 100}, {"of_rows", 1}, {"offset", 0}})},
      {"gated_bias", {{{"groups", 3}, {"width", 300}}, gated_bias<float>}},
      {"affine_channels", DL_KERNEL_CHECK(affine_channels, {{"rows", 7}, {"width", 16}})},
      {"mix_channels", DL_KERNEL_CHECK(mix_channels, {{"rows", 33}, {"in", 12}, {"out", 5}})},
      {"mean_rows", DL_KERNEL_CHECK(mean_rows, {{"rows", 33}, {"width", 70}})},
      {"square_differences", DL_KERNEL_CHECK(square_differences, {{"count", 20001}})},
      {"timestep_embedding", KernelCheck{{{"n", 3}, {"dim", 256}}, timestep_embedding}},
  };
}

}  // namespace driftless
