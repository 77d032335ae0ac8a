#include "bench/onednn_baseline.h"

#include <omp.h>

#include <dnnl.hpp>
#include <memory>

#include "core/error.h"

namespace driftless {

namespace {

using Memory = dnnl::memory;
using Tag = Memory::format_tag;
constexpr auto kF32 = Memory::data_type::f32, kBf16 = Memory::data_type::bf16;
constexpr auto kInference = dnnl::prop_kind::forward_inference;

const dnnl::engine& engine() {
  static const dnnl::engine instance(dnnl::engine::kind::cpu, 0);
  return instance;
}

Memory ones(const Memory::desc& desc) {
  Memory memory(desc, engine());
  auto* data = static_cast<uint32_t*>(memory.get_data_handle());
  // 1.0 as a float, or twice as bf16.
  const uint32_t one = desc.data.data_type == dnnl_bf16 ? 0x3F803F80 : 0x3F800000;
  std::fill(data, data + desc.get_size() / sizeof one, one);
  return memory;
}

}  // namespace

std::function<void()> onednn_product(int64_t rows, int64_t in, int64_t out, bool bf16) try {
  using Product = dnnl::inner_product_forward;
  const auto type = bf16 ? kBf16 : kF32;
  const Memory::desc x({rows, in}, type, Tag::ab), w({out, in}, type, Tag::any),
      y({rows, out}, kF32, Tag::ab);
#if DNNL_VERSION_MAJOR >= 3
  const Product::primitive_desc described(engine(), kInference, x, w, y);
#else
  const Product::primitive_desc described(Product::desc(kInference, x, w, y), engine());
#endif
  const Product product(described);
  const Memory xm = ones(x), wm = ones(described.weights_desc()), ym = ones(y);
  return [=] {
    dnnl::stream stream(engine());
    product.execute(stream, {{DNNL_ARG_SRC, xm}, {DNNL_ARG_WEIGHTS, wm}, {DNNL_ARG_DST, ym}});
    stream.wait();
  };
} catch (const dnnl::error& error) {
  throw Error("oneDNN baseline", "success", error.what());
}

std::function<void()> onednn_conv(int64_t n, int64_t h, int64_t w, int64_t in, int64_t out,
                                  int64_t stride, bool bf16) try {
  using Conv = dnnl::convolution_forward;
  const auto direct = dnnl::algorithm::convolution_direct;
  const auto type = bf16 ? kBf16 : kF32;
  const Memory::desc x({n, in, h, w}, type, Tag::nhwc), weight({out, in, 3, 3}, type, Tag::any),
      bias({out}, kF32, Tag::a), y({n, out, h / stride, w / stride}, kF32, Tag::nhwc);
  const Memory::dims steps = {stride, stride}, padding = {1, 1};
#if DNNL_VERSION_MAJOR >= 3
  const Conv::primitive_desc described(engine(), kInference, direct, x, weight, bias, y, steps,
                                       padding, padding);
#else
  const Conv::primitive_desc described(
      Conv::desc(kInference, direct, x, weight, bias, y, steps, padding, padding), engine());
#endif
  const Conv conv(described);
  const Memory xm = ones(x), wm = ones(described.weights_desc()), bm = ones(bias), ym = ones(y);
  return [=] {
    dnnl::stream stream(engine());
    conv.execute(
        stream,
        {{DNNL_ARG_SRC, xm}, {DNNL_ARG_WEIGHTS, wm}, {DNNL_ARG_BIAS, bm}, {DNNL_ARG_DST, ym}});
    stream.wait();
  };
} catch (const dnnl::error& error) {
  throw Error("oneDNN baseline", "success", error.what());
}

void set_onednn_threads(int threads) { omp_set_num_threads(threads); }

}  // namespace driftless
