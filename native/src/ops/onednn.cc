#include "ops/onednn.h"

#include <algorithm>
#include <array>
#include <dnnl.hpp>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"

namespace driftless {

namespace {

using Md = dnnl::memory::desc;
constexpr auto kF32 = dnnl::memory::data_type::f32;

dnnl::inner_product_forward::primitive_desc describe(const dnnl::engine& engine, const Md& x,
                                                     const Md& weight, const Md& y) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
#if DNNL_VERSION_MAJOR >= 3
  return dnnl::inner_product_forward::primitive_desc(engine, dnnl::prop_kind::forward_inference, x,
                                                     weight, y, attributes);
#else
  return dnnl::inner_product_forward::primitive_desc(
      dnnl::inner_product_forward::desc(dnnl::prop_kind::forward_inference, x, weight, y),
      attributes, engine);
#endif
}

/// A primitive with its memory handles, made once for each shape and pointed at new data by each
/// call.
struct Product {
  dnnl::inner_product_forward primitive;
  dnnl::memory x, weight, y, scratch;
  size_t scratch_bytes;
};

}  // namespace

struct MatrixProduct::Impl {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<std::array<int64_t, 3>, Product> products;
  std::vector<uint8_t> scratch;

  Product& product(int64_t rows, int64_t in, int64_t out) {
    const std::array<int64_t, 3> key = {rows, in, out};
    const auto found = products.find(key);
    if (found != products.end()) return found->second;
    using Tag = dnnl::memory::format_tag;
    const Md x({rows, in}, kF32, Tag::ab), weight({out, in}, kF32, Tag::ab),
        y({rows, out}, kF32, Tag::ab);
    const auto described = describe(engine, x, weight, y);
    const Md scratchpad = described.scratchpad_desc();
    scratch.resize(std::max(scratch.size(), scratchpad.get_size()));
    Product made = {dnnl::inner_product_forward(described),
                    dnnl::memory(x, engine, DNNL_MEMORY_NONE),
                    dnnl::memory(weight, engine, DNNL_MEMORY_NONE),
                    dnnl::memory(y, engine, DNNL_MEMORY_NONE),
                    dnnl::memory(scratchpad, engine, DNNL_MEMORY_NONE),
                    scratchpad.get_size()};
    return products.emplace(key, std::move(made)).first->second;
  }
};

MatrixProduct::MatrixProduct() : impl_(std::make_unique<Impl>()) {}
MatrixProduct::~MatrixProduct() = default;

void MatrixProduct::run(const float* x, const float* weight, float* y, int64_t rows, int64_t in,
                        int64_t out) {
  if (rows == 0 || out == 0) return;
  try {
    Product& p = impl_->product(rows, in, out);
    p.x.set_data_handle(const_cast<float*>(x));
    p.weight.set_data_handle(const_cast<float*>(weight));
    p.y.set_data_handle(y);
    p.scratch.set_data_handle(impl_->scratch.data());
    p.primitive.execute(impl_->stream, {{DNNL_ARG_SRC, p.x},
                                        {DNNL_ARG_WEIGHTS, p.weight},
                                        {DNNL_ARG_DST, p.y},
                                        {DNNL_ARG_SCRATCHPAD, p.scratch}});
    impl_->stream.wait();
  } catch (const dnnl::error& error) {
    throw Error("oneDNN product of " + std::to_string(rows) + " rows, " + std::to_string(in) +
                    " -> " + std::to_string(out),
                "success", error.what());
  }
}

}  // namespace driftless
