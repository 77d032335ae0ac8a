// Linear layers on the panel kernel. Weights are packed once, block by block of the input width and
// panel by panel of the output width, in the order in which they are read; a block of rows stays in
// the second-level cache while all panels of a block go over it.

#include <algorithm>

#include "core/error.h"
#include "ops/aligned_words.h"
#include "ops/checks.h"
#include "ops/cpu_ops.h"
#include "ops/cpu_tiles.h"

namespace driftless {

namespace {

/// Input words of one block (a panel of them is 128 kB) and rows of one block: 384 kB together
/// with the rows.
constexpr int64_t kBlockWords = 512;
/// With tiles, a panel of them (32 kB) stays in the first-level cache while the rows pass.
constexpr int64_t kTileBlockWords = 256;
constexpr int64_t kBlockRows = 192;
/// What of a block of rows stays in the second-level cache: 1 MB.
constexpr int64_t kCachedWords = 256 * 1024;

class CpuLinear : public PackedLinear {
 public:
  CpuLinear(const Tensor& weight, const Tensor& bias, const PanelKernels& kernels)
      : PackedLinear(weight.dim(1), weight.dim(0)),
        kernels(kernels),
        plan(plan_panels(weight.dim(0), kernels)),
        words(kernels.whole_steps(words_for(kernels.type, weight.dim(1)))),
        blocks(blocks_of(words, kernels)),
        block_words(kernels.whole_steps((words + blocks - 1) / blocks)) {
    if (bias.present()) {
      this->bias.resize(static_cast<size_t>(plan.padded()));
      std::copy_n(bias.f32(), out(), this->bias.begin());
    }
    memory_.reserve(static_cast<size_t>(words * plan.padded()));
    std::vector<uint32_t> row(static_cast<size_t>(words));
    for (int64_t o = 0; o < out(); ++o) {
      to_words(kernels.type, weight.f32() + o * in(), in(), row.data());
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

  const PanelKernels& kernels;
  PanelPlan plan;
  int64_t words;  ///< Of a row of x, whole steps of the kernels.
  int64_t blocks, block_words;
  std::vector<float> bias;  ///< Padded; empty = none.

 private:
  static int64_t blocks_of(int64_t words, const PanelKernels& kernels) {
    const int64_t most = kernels.step > 1 ? kTileBlockWords : kBlockWords;
    return std::max<int64_t>(1, (words + most - 1) / most);
  }

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
  bool converted() const { return weights.kernels.type != WordType::f32; }
  /// Words of scratch for a block of rows: the converted input and unfinished sums.
  int64_t input_words() const { return converted() ? kBlockRows * weights.words : 0; }
  /// Whether all of the inputs of a block of rows stay in the second-level cache, so that each
  /// panel is finished before the next. Else all panels go over one block of the inputs after
  /// another, and the sums of all of them stay.
  bool panel_by_panel() const {
    return weights.blocks == 1 || kBlockRows * weights.words <= kCachedWords;
  }
  int64_t sum_floats() const {
    return kBlockRows * (panel_by_panel() ? weights.plan.width() : weights.plan.padded());
  }
  /// Row `row` of x as words, the `place`-th of its block. For tiles, 16 rows and one step lie
  /// together: [16 rows][step][row][words of a step], so that they are read in one stream.
  void convert(int64_t row, int64_t place, Word* memory) const {
    const int64_t in = sizes.in, step = weights.kernels.step, values = 2 * step;
    const float* from = x + row * in;
    if (step == 1) {
      to_words(weights.kernels.type, from, in, memory + place * weights.words);
      return;
    }
    Word* to = memory + place / kTileRows * kTileRows * weights.words + place % kTileRows * step;
    for (int64_t i = 0; i < in; i += values, to += kTileRows * step) {
      const int64_t filled = std::min(values, in - i);
      to_words(weights.kernels.type, from + i, filled, to);
      std::fill(to + (filled + 1) / 2, to + step, 0u);
    }
  }
  /// One block of the inputs of the rows from the `place`-th on; with tiles, a multiple of 16.
  PanelSegment segment(const Word* x, int64_t place, int64_t block) const {
    const int64_t words = weights.words, first = block * weights.block_words;
    const int64_t step = weights.kernels.step;
    if (step == 1) return plain_segment(x + place * words + first, weights.words_of(block), words);
    return {x + place * words + first * kTileRows, weights.words_of(block), step, kTileRows * step,
            kTileRows * words};
  }
};

void finish_tile(const Product& p, int64_t row, int64_t rows, int64_t channel, int64_t channels,
                 const float* sums, int64_t sums_stride) {
  const GroupVectors& gates = p.epilogue.gate;
  const auto finish = [&](auto activation) {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = (row + r) * p.sizes.out + channel;
      const float* gate = gates.data == nullptr
                              ? nullptr
                              : gates.data + (row + r) / p.sizes.gate_rows * gates.stride + channel;
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

/// One panel over one block of the inputs of rows [begin, end). x: their words. sums: unfinished
/// ones, from row `begin` on.
void panel_block(const Product& p, int64_t begin, int64_t end, int64_t block, int64_t panel,
                 const Word* x, float* sums, int64_t sums_stride) {
  const CpuLinear& w = p.weights;
  const bool plain = p.plain(), final_block = block + 1 == w.blocks;
  const int vectors = w.plan.vectors_of(panel);
  const int64_t channel = panel * w.plan.width();
  PanelOutput out = {};
  out.bias = w.bias.empty() ? nullptr : w.bias.data() + channel;
  out.pixel_stride = p.sizes.out;
  out.channels = std::min<int64_t>(vectors * kLanes, p.sizes.out - channel);
  out.relu = p.epilogue.activation == Activation::relu;
  out.first = block == 0;
  out.last = final_block && plain;
  out.sums_stride = sums_stride;
  for (int64_t row = begin; row < end; row += out.pixels) {
    out.pixels = w.kernels.group(vectors, end - row);
    const PanelSegment segment = p.segment(x, row - begin, block);
    out.sums = sums + (row - begin) * sums_stride;
    out.y = p.y + row * p.sizes.out + channel;
    if (p.residual != nullptr) out.residual = p.residual + row * p.sizes.out + channel;
    w.kernels.find(vectors, out.pixels)(&segment, 1, w.panel(block, panel), out);
    if (final_block && !plain) {
      finish_tile(p, row, out.pixels, channel, out.channels, out.sums, sums_stride);
    }
  }
}

/// Rows [begin, end), at most kBlockRows of them.
void row_block(const Product& p, int64_t begin, int64_t end, Word* memory) {
  const CpuLinear& w = p.weights;
  const Word* x = reinterpret_cast<const Word*>(p.x + begin * p.sizes.in);
  if (p.converted()) {
    for (int64_t row = begin; row < end; ++row) p.convert(row, row - begin, memory);
    x = memory;
  }
  float* sums = reinterpret_cast<float*>(memory + p.input_words());
  if (p.panel_by_panel()) {
    for (int64_t panel = 0; panel < w.plan.panels; ++panel) {
      for (int64_t block = 0; block < w.blocks; ++block) {
        panel_block(p, begin, end, block, panel, x, sums, w.plan.width());
      }
    }
    return;
  }
  for (int64_t block = 0; block < w.blocks; ++block) {
    for (int64_t panel = 0; panel < w.plan.panels; ++panel) {
      panel_block(p, begin, end, block, panel, x, sums + panel * w.plan.width(), w.plan.padded());
    }
  }
}

}  // namespace

std::unique_ptr<PackedLinear> CpuOps::pack_linear(const Tensor& weight, const Tensor& bias, bool) {
  checks::pack_linear(weight, bias);
  return std::make_unique<CpuLinear>(weight, bias, kernels_);
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
  // Even blocks, so that none is left with a few rows, of whole groups of a kernel.
  const int64_t group = packed->kernels.step == 1 ? 1 : 2 * kTileRows;
  const auto first_row = [&](int64_t block) {
    const int64_t row = s.rows * block / blocks;
    return std::min(s.rows, (row + group - 1) / group * group);
  };
  parallel(blocks, 2.0 * static_cast<double>(s.rows) * static_cast<double>(s.in * s.out), words,
           [&](int64_t block, Word* memory) {
             const TileScope tiles;
             row_block(product, first_row(block), first_row(block + 1), memory);
           });
}

}  // namespace driftless
