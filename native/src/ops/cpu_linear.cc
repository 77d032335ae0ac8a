// Linear layers on the panel kernel. Weights are packed once, block by block of the input width and
// panel by panel of the output width, in the order in which they are read; a block of rows stays in
// the second-level cache while all panels of a block go over it.

#include <algorithm>

#include "core/error.h"
#include "ops/aligned_words.h"
#include "ops/checks.h"
#include "ops/cpu_ops.h"
#include "ops/cpu_panel.h"

namespace driftless {

namespace {

/// Input words of one block (a panel of them is 128 kB) and rows of one block: 384 kB together
/// with the rows.
constexpr int64_t kBlockWords = 512;
constexpr int64_t kBlockRows = 192;

class CpuLinear : public PackedLinear {
 public:
  CpuLinear(const Tensor& weight, const Tensor& bias, WordType type)
      : PackedLinear(weight.dim(1), weight.dim(0)),
        type(type),
        plan(plan_panels(weight.dim(0))),
        words(words_for(type, weight.dim(1))),
        blocks(std::max<int64_t>(1, (words + kBlockWords - 1) / kBlockWords)),
        block_words((words + blocks - 1) / blocks) {
    if (bias.present()) {
      this->bias.resize(static_cast<size_t>(plan.padded()));
      std::copy_n(bias.f32(), out(), this->bias.begin());
    }
    memory_.reserve(static_cast<size_t>(words * plan.padded()));
    std::vector<uint32_t> row(static_cast<size_t>(words));
    for (int64_t o = 0; o < out(); ++o) {
      to_words(type, weight.f32() + o * in(), in(), row.data());
      const int64_t index = o / plan.width(), lane = o % plan.width();
      const int64_t width = int64_t{plan.vectors_of(index)} * kLanes;
      for (int64_t block = 0; block < blocks; ++block) {
        Word* to = const_cast<Word*>(panel(block, index)) + lane;
        for (int64_t i = 0; i < words_of(block); ++i) {
          to[i * width] = row[static_cast<size_t>(block * block_words + i)];
        }
      }
    }
  }

  int64_t words_of(int64_t block) const {
    return std::min(block_words, words - block * block_words);
  }
  const Word* panel(int64_t block, int64_t index) const {
    return memory_.data() + block * block_words * plan.padded() +
           index * plan.width() * words_of(block);
  }

  WordType type;
  PanelPlan plan;
  int64_t words, blocks, block_words;
  std::vector<float> bias;  ///< Padded; empty = none.

 private:
  AlignedWords memory_;
};

/// out = residual + gate * activation(in) for one row; absent parts are null.
template <typename Function>
void finish_row(const float* in, const float* gate, const float* residual, float* out,
                int64_t width, Function activation) {
  const auto finish = [&](int64_t i, auto load, auto store) {
    Vec value = activation(load(in + i));
    if (gate != nullptr) value *= load(gate + i);
    if (residual != nullptr) value += load(residual + i);
    store(out + i, value);
  };
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) finish(i, load_vec, store_vec);
  const int64_t part = width - i;
  if (part == 0) return;
  finish(
      i, [=](const float* from) { return load_part(from, part); },
      [=](float* to, Vec value) { store_part(to, value, part); });
}

/// One call's operands.
struct Product {
  const CpuLinear& weights;
  checks::LinearSizes sizes;
  const LinearEpilogue& epilogue;
  const float* x;
  const float* residual;  ///< Null = none.
  float* y;

  /// Whether the kernel itself can finish: it knows bias, residual and ReLU.
  bool plain() const {
    return epilogue.gate.data == nullptr &&
           (epilogue.activation == Activation::none ||
            (epilogue.activation == Activation::relu && residual == nullptr));
  }
  bool converted() const { return weights.type != WordType::f32; }
  /// Words of scratch for a block of rows: the converted input and unfinished sums.
  int64_t input_words() const { return converted() ? kBlockRows * weights.words : 0; }
  int64_t sum_floats() const {
    return weights.blocks > 1 ? kBlockRows * weights.plan.padded() : kBlockRows * kLanes;
  }
  /// Rows [row, ...) up to the end of their gate group.
  int64_t group_end(int64_t row) const {
    return sizes.gate_rows == 0 ? sizes.rows : (row / sizes.gate_rows + 1) * sizes.gate_rows;
  }
};

void finish_tile(const Product& p, int64_t row, int64_t rows, int64_t channel, int64_t channels,
                 const float* sums, int64_t sums_stride) {
  const float* gate =
      p.epilogue.gate.data == nullptr
          ? nullptr
          : p.epilogue.gate.data + row / p.sizes.gate_rows * p.epilogue.gate.stride + channel;
  const auto finish = [&](auto activation) {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = (row + r) * p.sizes.out + channel;
      finish_row(sums + r * sums_stride, gate, p.residual == nullptr ? nullptr : p.residual + at,
                 p.y + at, channels, activation);
    }
  };
  switch (p.epilogue.activation) {
    case Activation::none:
      return finish([](Vec v) { return v; });
    case Activation::relu:
      return finish([](Vec v) { return relu_vec(v); });
    case Activation::silu:
      return finish([](Vec v) { return silu_vec(v); });
    case Activation::gelu_tanh:
      return finish([](Vec v) { return gelu_tanh_vec(v); });
  }
}

/// Rows [begin, end), at most kBlockRows of them.
void row_block(const Product& p, int64_t begin, int64_t end, Word* memory) {
  const CpuLinear& w = p.weights;
  const Word* x = reinterpret_cast<const Word*>(p.x + begin * p.sizes.in);
  if (p.converted()) {
    for (int64_t row = begin; row < end; ++row) {
      to_words(w.type, p.x + row * p.sizes.in, p.sizes.in, memory + (row - begin) * w.words);
    }
    x = memory;
  }
  float* sums = reinterpret_cast<float*>(memory + p.input_words());
  const bool plain = p.plain();
  for (int64_t block = 0; block < w.blocks; ++block) {
    const bool final_block = block + 1 == w.blocks;
    for (int64_t panel = 0; panel < w.plan.panels; ++panel) {
      const int vectors = w.plan.vectors_of(panel);
      const int64_t channel = panel * w.plan.width();
      PanelOutput out = {};
      out.bias = w.bias.empty() ? nullptr : w.bias.data() + channel;
      out.pixel_stride = p.sizes.out;
      out.channels = std::min<int64_t>(vectors * kLanes, p.sizes.out - channel);
      out.relu = p.epilogue.activation == Activation::relu;
      out.first = block == 0;
      out.last = final_block && plain;
      out.sums_stride = w.blocks > 1 ? w.plan.padded() : int64_t{vectors} * kLanes;
      for (int64_t row = begin; row < end;) {
        const int64_t left = std::min(end, p.group_end(row)) - row;
        const int64_t rows = next_group(kPanelPixels[vectors], left);
        const PanelSegment segment = {x + (row - begin) * w.words + block * w.block_words,
                                      w.words_of(block), w.words};
        out.sums = w.blocks > 1 ? sums + (row - begin) * w.plan.padded() + channel : sums;
        out.y = p.y + row * p.sizes.out + channel;
        if (p.residual != nullptr) out.residual = p.residual + row * p.sizes.out + channel;
        panel_kernel_for(w.type, vectors, rows)(&segment, 1, w.panel(block, panel), out);
        if (final_block && !plain) {
          finish_tile(p, row, rows, channel, out.channels, out.sums, out.sums_stride);
        }
        row += rows;
      }
    }
  }
}

}  // namespace

std::unique_ptr<PackedLinear> CpuOps::pack_linear(const Tensor& weight, const Tensor& bias) {
  checks::pack_linear(weight, bias);
  return std::make_unique<CpuLinear>(weight, bias, words_);
}

void CpuOps::linear(const PackedLinear& weights, const Tensor& x, const Tensor& y,
                    const LinearEpilogue& epilogue) {
  const auto s = checks::linear(weights, x, y, epilogue);
  const auto* packed = dynamic_cast<const CpuLinear*>(&weights);
  DL_CHECK(packed != nullptr, "packed weights", "weights packed by the cpu backend",
           "another backend's");
  const Product product = {*packed,
                           s,
                           epilogue,
                           x.f32(),
                           epilogue.residual.present() ? epilogue.residual.f32() : nullptr,
                           y.f32()};
  const int64_t blocks = (s.rows + kBlockRows - 1) / kBlockRows;
  const auto words = static_cast<size_t>(product.input_words() + product.sum_floats());
  parallel(blocks, 2.0 * static_cast<double>(s.rows) * static_cast<double>(s.in * s.out), words,
           [&](int64_t block, Word* memory) {
             // Even blocks, so that none is left with a few rows.
             row_block(product, s.rows * block / blocks, s.rows * (block + 1) / blocks, memory);
           });
}

}  // namespace driftless
