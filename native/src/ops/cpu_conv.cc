// Direct channels-last convolution on the panel kernel. Input rows are copied into a small ring of
// rows with a zero pixel at each end, which takes care of the padding and stays in cache.

#include <algorithm>
#include <array>

#include "core/error.h"
#include "ops/aligned_words.h"
#include "ops/checks.h"
#include "ops/cpu_ops.h"
#include "ops/cpu_tiles.h"

namespace driftless {

namespace {

constexpr int kRingRows = 4;  // Three in use plus one, so that a power of two indexes the ring.

/// Weights as [phase][panel][segment][word][panel width]. Segments are kernel rows, for each
/// input; a segment's values are kernel columns x channels. With upsample2 there are four phases
/// (output row and column parity), each a 2x2 kernel on the small picture, because neighbouring
/// taps of the 3x3 kernel then read the same pixel: 16 instead of 36 products.
class CpuConv : public PackedConv {
 public:
  CpuConv(const Tensor& weight, const Tensor& bias, const ConvOptions& options,
          const PanelKernels& wanted)
      : PackedConv(weight.dim(1), weight.dim(0), weight.dim(2), options),
        // Pairs of values may not straddle two pixels.
        kernels(in() % 2 == 0 && second() % 2 == 0 ? wanted : vector_kernels(WordType::f32)),
        plan(plan_panels(weight.dim(0), kernels)),
        phases(options.upsample2 ? 4 : 1),
        taps(options.upsample2 && weight.dim(2) == 3 ? 2 : weight.dim(2)),
        words(taps * (segment_words(in() - second()) + segment_words(second()))) {
    this->bias.resize(static_cast<size_t>(plan.padded()));
    if (bias.present()) std::copy_n(bias.f32(), out(), this->bias.begin());
    memory_.reserve(static_cast<size_t>(phases * words * plan.padded()));
    std::vector<float> values(static_cast<size_t>(taps * taps * in()));
    std::vector<uint32_t> packed(static_cast<size_t>(words));
    const int64_t inputs[2] = {in() - second(), second()};
    for (int64_t phase = 0; phase < phases; ++phase) {
      for (int64_t o = 0; o < out(); ++o) {
        collect(weight.f32(), phase, o, values);
        const float* from = values.data();
        uint32_t* segment = packed.data();
        for (const int64_t channels : inputs) {
          for (int64_t tap = 0; tap < taps && channels > 0; ++tap) {
            to_words(kernels.type, from, taps * channels, segment);
            from += taps * channels;
            segment += segment_words(channels);
          }
        }
        const int64_t index = o / plan.width();
        Word* to = const_cast<Word*>(panel(phase, index)) + o % plan.width();
        for (const uint32_t word : packed) {
          *to = word;
          to += plan.vectors_of(index) * kLanes;
        }
      }
    }
  }

  const Word* panel(int64_t phase, int64_t index) const {
    return memory_.data() + (phase * plan.padded() + index * plan.width()) * words;
  }

  const PanelKernels& kernels;
  PanelPlan plan;
  int64_t phases, taps;
  int64_t words;  ///< Of one output channel of one phase.
  std::vector<float> bias;

 private:
  /// A kernel row of one input with so many channels, in whole steps.
  int64_t segment_words(int64_t channels) const {
    return kernels.whole_steps(words_for(kernels.type, taps * channels));
  }

  /// The values of output channel o: every tap is added to the place it falls on in this phase.
  void collect(const float* weight, int64_t phase, int64_t o, std::vector<float>& values) const {
    const int64_t k = kernel(), first = in() - second();
    const auto place = [&](int64_t tap, int64_t parity) {
      // Enlarged coordinate 2y + parity + tap - 1 lies on small pixel y + floor(./2).
      return taps == k ? tap : (parity + tap + 1) / 2 - parity;
    };
    std::fill(values.begin(), values.end(), 0.0f);
    for (int64_t i = 0; i < in(); ++i) {
      const bool from_second = i >= first;
      const int64_t channels = from_second ? second() : first;
      const int64_t channel = from_second ? i - first : i;
      for (int64_t ky = 0; ky < k; ++ky) {
        for (int64_t kx = 0; kx < k; ++kx) {
          const int64_t row = place(ky, phase / 2), col = place(kx, phase % 2);
          const int64_t before = from_second ? taps * taps * first : 0;
          const int64_t value = before + (row * taps + col) * channels + channel;
          values[static_cast<size_t>(value)] += weight[((o * in() + i) * k + ky) * k + kx];
        }
      }
    }
  }

  AlignedWords memory_;
};

/// One of the two inputs of one image with its ring of padded rows.
class RowRing {
 public:
  RowRing(const PanelKernels& kernels, const float* image, int64_t height, int64_t width,
          int64_t channels, int64_t padding, Word* memory)
      : type_(kernels.type),
        image_(image),
        height_(height),
        line_(width * channels),
        pixel_words_(words_for(kernels.type, channels)),
        row_words_(row_words(kernels, width, channels)),
        padding_(padding),
        memory_(memory),
        next_(-padding) {}

  static int64_t words(const PanelKernels& kernels, int64_t width, int64_t channels) {
    return kRingRows * row_words(kernels, width, channels);
  }
  int64_t pixel_words() const { return pixel_words_; }

  /// Row `row` (may lie `padding` outside the picture); its first pixel is column -padding. Rows
  /// must be asked for in rising order, at most three apart.
  const Word* row(int64_t row) {
    if (padding_ == 0 && type_ == WordType::f32) {
      return reinterpret_cast<const Word*>(image_ + row * line_);
    }
    next_ = std::max(next_, row - (kRingRows - 1));
    for (; next_ <= row; ++next_) fill(next_);
    return slot(row);
  }

 private:
  /// With the step that the last pixel's segment may be read beyond its end.
  static int64_t row_words(const PanelKernels& kernels, int64_t width, int64_t channels) {
    return kernels.whole_steps((width + 2) * words_for(kernels.type, channels) + kernels.step - 1);
  }
  Word* slot(int64_t row) const { return memory_ + (row + 1) % kRingRows * row_words_; }
  void fill(int64_t row) {
    Word* to = slot(row);
    if (row < 0 || row >= height_) {
      std::fill(to, to + row_words_, 0u);
      return;
    }
    const int64_t edge = padding_ * pixel_words_;
    std::fill(to, to + edge, 0u);
    to_words(type_, image_ + row * line_, line_, to + edge);
    std::fill(to + edge + words_for(type_, line_), to + row_words_, 0u);
  }

  WordType type_;
  const float* image_;
  int64_t height_, line_, pixel_words_, row_words_, padding_;
  Word* memory_;
  int64_t next_;
};

// Weights of one pass over a row: together with the input they should stay in the first-level
// cache.
constexpr int64_t kPassWords = 24 * 1024 / sizeof(Word);

/// All pixels of one output row (of one phase) through one panel. `weights` may be more than the
/// first-level cache holds: the row is gone through once for each part of them.
void panel_row(const PanelKernels& kernels, int vectors, const Word* weights,
               const PanelSegment* segments, int count, int64_t pixels, const PanelOutput& target,
               float* sums) {
  const int64_t width = int64_t{vectors} * kLanes;
  int segment = 0;
  int64_t used = 0;  // Words of the current segment that earlier passes have taken.
  bool first = true;
  while (segment < count) {
    std::array<PanelSegment, 6> parts;
    int part_count = 0;
    int64_t room = std::max<int64_t>(1, kPassWords / width / kernels.step) * kernels.step;
    const Word* pass_weights = weights;
    while (segment < count && room > 0) {
      const int64_t taken = std::min(room, segments[segment].length - used);
      parts[part_count++] =
          plain_segment(segments[segment].x + used, taken, segments[segment].pixel_stride);
      weights += kernels.whole_steps(taken) * width;
      room -= kernels.whole_steps(taken);
      used += taken;
      if (used == segments[segment].length) {
        ++segment;
        used = 0;
      }
    }
    PanelOutput out = target;
    out.first = first;
    out.last = segment == count;
    out.sums = sums;
    out.sums_stride = width;
    first = false;
    for (int64_t pixel = 0; pixel < pixels;) {
      const int64_t group = out.pixels = kernels.group(vectors, pixels - pixel);
      kernels.find(vectors, group)(parts.data(), part_count, pass_weights, out);
      for (int p = 0; p < part_count; ++p) parts[p].x += group * parts[p].pixel_stride;
      out.y += group * out.pixel_stride;
      if (out.residual != nullptr) out.residual += group * out.pixel_stride;
      out.sums += group * width;
      pixel += group;
    }
  }
}

}  // namespace

std::unique_ptr<PackedConv> CpuOps::pack_conv(const Tensor& weight, const Tensor& bias,
                                              const ConvOptions& options) {
  checks::pack_conv(weight, bias, options);
  return std::make_unique<CpuConv>(weight, bias, options, kernels_);
}

void CpuOps::conv2d(const PackedConv& weights, const Tensor& x, const Tensor& x2,
                    const Tensor& residual, Activation activation, const Tensor& y) {
  const auto s = checks::conv2d(weights, x, x2, residual, activation, y);
  const auto* conv = dynamic_cast<const CpuConv*>(&weights);
  DL_CHECK(conv != nullptr, "packed weights", "weights packed by the cpu backend",
           "another backend's");
  const PanelKernels& kernels = conv->kernels;
  const PanelPlan& plan = conv->plan;
  const int64_t padding = conv->kernel() / 2;
  const int64_t up = conv->options().upsample2 ? 2 : 1;
  const int64_t stride = conv->options().stride;
  const int64_t step_rows = s.out_h / up;  // Rows of the walk; each gives `up` output rows.
  const int64_t step_pixels = s.out_w / up;
  const int64_t first_words = RowRing::words(kernels, s.w, s.first);
  const int64_t ring_words = first_words + RowRing::words(kernels, s.w, s.second);

  const auto walk = [&](int64_t begin, int64_t end, Word* memory) {
    const TileScope tiles;
    float* sums = reinterpret_cast<float*>(memory + ring_words);
    while (begin < end) {
      const int64_t n = begin / step_rows;
      const int64_t last = std::min(end, (n + 1) * step_rows);
      RowRing rings[2] = {
          {kernels, x.f32() + n * s.h * s.w * s.first, s.h, s.w, s.first, padding, memory},
          {kernels, s.second > 0 ? x2.f32() + n * s.h * s.w * s.second : nullptr, s.h, s.w,
           s.second, padding, memory + first_words}};
      for (; begin < last; ++begin) {
        const int64_t row = begin % step_rows;
        for (int64_t phase = 0; phase < conv->phases; ++phase) {
          const int64_t py = phase / 2, px = phase % 2;
          PanelSegment segments[6];
          int count = 0;
          for (int input = 0; input < (s.second > 0 ? 2 : 1); ++input) {
            const int64_t pixel = rings[input].pixel_words();
            for (int64_t tap = 0; tap < conv->taps; ++tap) {
              const int64_t shift = conv->phases == 4 && conv->taps == 2;
              const Word* line = rings[input].row(row * stride - padding + tap + (shift ? py : 0));
              segments[count++] = plain_segment(line + (shift ? px : 0) * pixel, conv->taps * pixel,
                                                stride * pixel);
            }
          }
          const int64_t at = ((n * s.out_h + row * up + py) * s.out_w + px) * s.out;
          PanelOutput out = {};
          out.pixel_stride = up * s.out;
          out.relu = activation == Activation::relu;
          for (int64_t panel = 0; panel < plan.panels; ++panel) {
            const int64_t channel = panel * plan.width();
            const int vectors = plan.vectors_of(panel);
            out.y = y.f32() + at + channel;
            out.residual = residual.present() ? residual.f32() + at + channel : nullptr;
            out.channels = std::min<int64_t>(vectors * kLanes, s.out - channel);
            out.bias = conv->bias.data() + channel;
            panel_row(kernels, vectors, conv->panel(phase, panel), segments, count, step_pixels,
                      out, sums);
          }
        }
      }
    }
  };

  const int64_t rows = s.n * step_rows;
  const auto scratch_words = static_cast<size_t>(ring_words + step_pixels * plan.width());
  const double operations = 2.0 * static_cast<double>(rows * step_pixels * conv->phases) *
                            static_cast<double>(conv->taps * conv->taps * conv->in() * s.out);
  // Each part begins with filling its ring anew, so there are only as many as it takes to share.
  const int64_t parts = std::min<int64_t>(rows, splits(operations) ? 4 * pool_.threads() : 1);
  parallel(parts, operations, scratch_words, [&](int64_t part, Word* memory) {
    walk(rows * part / parts, rows * (part + 1) / parts, memory);
  });
}

}  // namespace driftless
