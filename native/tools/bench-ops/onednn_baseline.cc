#include "onednn_baseline.h"

#include <dnnl.hpp>
#include <memory>

namespace driftless {

namespace {

using Memory = dnnl::memory;
using Tag = Memory::format_tag;
constexpr auto kF32 = Memory::data_type::f32;
constexpr auto kInference = dnnl::prop_kind::forward_inference;

const dnnl::engine& engine() {
  static const dnnl::engine instance(dnnl::engine::kind::cpu, 0);
  return instance;
}

Memory ones(const Memory::desc& desc) {
  Memory memory(desc, engine());
  auto* data = static_cast<float*>(memory.get_data_handle());
  std::fill(data, data + desc.get_size() / sizeof(float), 1.0f);
  return memory;
}

}  // namespace

std::function<void()> onednn_product(int64_t rows, int64_t in, int64_t out) {
  using Product = dnnl::inner_product_forward;
  const Memory::desc x({rows, in}, kF32, Tag::ab), w({out, in}, kF32, Tag::any),
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
}

std::function<void()> onednn_conv(int64_t n, int64_t h, int64_t w, int64_t in, int64_t out,
                                  int64_t stride) {
  using Conv = dnnl::convolution_forward;
  const auto direct = dnnl::algorithm::convolution_direct;
  const Memory::desc x({n, in, h, w}, kF32, Tag::nhwc), weight({out, in, 3, 3}, kF32, Tag::any),
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
}

}  // namespace driftless
