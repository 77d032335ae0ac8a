// Direct channels-last convolution on the panel kernel. Input rows are copied into a small ring of
// rows with a zero pixel at each end, which takes care of the padding and stays in cache.

#include <omp.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "ops/checks.h"
#include "ops/cpu_ops.h"
#include "ops/cpu_panel.h"

namespace driftless {

namespace {

constexpr int kRingRows = 4;  // Three in use plus one, so that a power of two indexes the ring.

/// Weights as [phase][panel][segment][value][panel width]. Segments are kernel rows, for each
/// input; a segment's values are kernel columns x channels. With upsample2 there are four phases
/// (output row and column parity), each a 2x2 kernel on the small picture, because neighbouring
/// taps of the 3x3 kernel then read the same pixel: 16 instead of 36 products.
class CpuConv : public PackedConv {
 public:
  CpuConv(const Tensor& weight, const Tensor& bias, const ConvOptions& options)
      : PackedConv(weight.dim(1), weight.dim(0), weight.dim(2), options),
        plan(plan_panels(weight.dim(0))),
        panels((weight.dim(0) + plan.width() - 1) / plan.width()),
        phases(options.upsample2 ? 4 : 1),
        taps(options.upsample2 && weight.dim(2) == 3 ? 2 : weight.dim(2)),
        panel_floats(taps * taps * weight.dim(1) * plan.width()) {
    this->bias.resize(static_cast<size_t>(panels * plan.width()));
    if (bias.present()) std::copy_n(bias.f32(), out(), this->bias.begin());
    weights.resize(static_cast<size_t>(phases * panels * panel_floats));
    for (int64_t phase = 0; phase < phases; ++phase) {
      for (int64_t o = 0; o < out(); ++o) pack(weight.f32(), phase, o);
    }
  }

  const float* panel(int64_t phase, int64_t index) const {
    return weights.data() + (phase * panels + index) * panel_floats;
  }

  PanelPlan plan;
  int64_t panels, phases, taps, panel_floats;
  std::vector<float> weights, bias;

 private:
  /// Adds every tap of output channel o to the place it falls on in this phase.
  void pack(const float* weight, int64_t phase, int64_t o) {
    const int64_t k = kernel(), second = options().second_input_channels;
    const int64_t first = in() - second;
    float* target =
        weights.data() + (phase * panels + o / plan.width()) * panel_floats + o % plan.width();
    const auto place = [&](int64_t tap, int64_t parity) {
      // Enlarged coordinate 2y + parity + tap - 1 lies on small pixel y + floor(./2).
      return taps == k ? tap : (parity + tap + 1) / 2 - parity;
    };
    for (int64_t i = 0; i < in(); ++i) {
      const bool from_second = i >= first;
      const int64_t channels = from_second ? second : first;
      const int64_t channel = from_second ? i - first : i;
      for (int64_t ky = 0; ky < k; ++ky) {
        for (int64_t kx = 0; kx < k; ++kx) {
          const int64_t row = place(ky, phase / 2), col = place(kx, phase % 2);
          const int64_t before = from_second ? taps * taps * first : 0;
          const int64_t value = before + (row * taps + col) * channels + channel;
          target[value * plan.width()] += weight[((o * in() + i) * k + ky) * k + kx];
        }
      }
    }
  }
};

/// One of the two inputs of one image with its ring of padded rows.
class RowRing {
 public:
  RowRing(const float* image, int64_t height, int64_t width, int64_t channels, int64_t padding,
          float* memory)
      : image_(image),
        height_(height),
        width_(width),
        channels_(channels),
        padding_(padding),
        memory_(memory),
        next_(-padding) {}

  static int64_t floats(int64_t width, int64_t channels) {
    return kRingRows * (width + 2) * channels;
  }
  int64_t channels() const { return channels_; }

  /// Row `row` (may lie `padding` outside the picture); its first pixel is column -padding. Rows
  /// must be asked for in rising order, at most three apart.
  const float* row(int64_t row) {
    if (padding_ == 0) return image_ + row * width_ * channels_;
    next_ = std::max(next_, row - (kRingRows - 1));
    for (; next_ <= row; ++next_) fill(next_);
    return slot(row);
  }

 private:
  float* slot(int64_t row) const {
    return memory_ + (row + 1) % kRingRows * (width_ + 2) * channels_;
  }
  void fill(int64_t row) {
    float* to = slot(row);
    const int64_t line = width_ * channels_;
    if (row < 0 || row >= height_) {
      std::fill(to, to + line + 2 * channels_, 0.0f);
      return;
    }
    std::fill(to, to + channels_, 0.0f);
    std::memcpy(to + channels_, image_ + row * line, static_cast<size_t>(line) * sizeof(float));
    std::fill(to + channels_ + line, to + 2 * channels_ + line, 0.0f);
  }

  const float* image_;
  int64_t height_, width_, channels_, padding_;
  float* memory_;
  int64_t next_;
};

// Weights of one pass over a row: together with the input they should stay in the first-level
// cache.
constexpr int64_t kPassFloats = 24 * 1024 / sizeof(float);

/// All pixels of one output row (of one phase) through one panel. `weights` may be more than the
/// first-level cache holds: the row is gone through once for each part of them.
void panel_row(const PanelPlan& plan, const float* weights, const PanelSegment* segments, int count,
               int64_t pixels, const PanelOutput& target, float* sums) {
  int segment = 0;
  int64_t used = 0;  // Values of the current segment that earlier passes have taken.
  bool first = true;
  while (segment < count) {
    std::array<PanelSegment, 6> parts;
    int part_count = 0;
    int64_t room = std::max<int64_t>(1, kPassFloats / plan.width());
    const float* pass_weights = weights;
    while (segment < count && room > 0) {
      const int64_t taken = std::min(room, segments[segment].length - used);
      parts[part_count++] = {segments[segment].x + used, taken, segments[segment].pixel_stride};
      weights += taken * plan.width();
      room -= taken;
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
    first = false;
    for (int64_t pixel = 0; pixel < pixels;) {
      const int64_t group = next_group(plan, pixels - pixel);
      panel_kernel_for(plan, group)(parts.data(), part_count, pass_weights, out);
      for (int p = 0; p < part_count; ++p) parts[p].x += group * parts[p].pixel_stride;
      out.y += group * out.pixel_stride;
      if (out.residual != nullptr) out.residual += group * out.pixel_stride;
      out.sums += group * plan.width();
      pixel += group;
    }
  }
}

}  // namespace

std::unique_ptr<PackedConv> CpuOps::pack_conv(const Tensor& weight, const Tensor& bias,
                                              const ConvOptions& options) {
  checks::pack_conv(weight, bias, options);
  return std::make_unique<CpuConv>(weight, bias, options);
}

void CpuOps::conv2d(const PackedConv& weights, const Tensor& x, const Tensor& x2,
                    const Tensor& residual, Activation activation, const Tensor& y) {
  const auto s = checks::conv2d(weights, x, x2, residual, activation, y);
  const auto* conv = dynamic_cast<const CpuConv*>(&weights);
  DL_CHECK(conv != nullptr, "packed weights", "weights packed by the cpu backend",
           "another backend's");
  const int64_t padding = conv->kernel() / 2;
  const int64_t up = conv->options().upsample2 ? 2 : 1;
  const int64_t stride = conv->options().stride;
  const int64_t step_rows = s.out_h / up;  // Rows of the walk; each gives `up` output rows.
  const int64_t step_pixels = s.out_w / up;
  const int64_t first_floats = RowRing::floats(s.w, s.first);
  const int64_t ring_floats = first_floats + RowRing::floats(s.w, s.second);
  const size_t floats = static_cast<size_t>(ring_floats + step_pixels * conv->plan.width());
  for (int thread = 0; thread < threads_; ++thread) scratch(thread, floats);

  const auto walk = [&](int64_t begin, int64_t end, float* memory) {
    float* sums = memory + ring_floats;
    while (begin < end) {
      const int64_t n = begin / step_rows;
      const int64_t last = std::min(end, (n + 1) * step_rows);
      RowRing rings[2] = {{x.f32() + n * s.h * s.w * s.first, s.h, s.w, s.first, padding, memory},
                          {s.second > 0 ? x2.f32() + n * s.h * s.w * s.second : nullptr, s.h, s.w,
                           s.second, padding, memory + first_floats}};
      for (; begin < last; ++begin) {
        const int64_t row = begin % step_rows;
        for (int64_t phase = 0; phase < conv->phases; ++phase) {
          const int64_t py = phase / 2, px = phase % 2;
          PanelSegment segments[6];
          int count = 0;
          for (int input = 0; input < (s.second > 0 ? 2 : 1); ++input) {
            const int64_t channels = rings[input].channels();
            for (int64_t tap = 0; tap < conv->taps; ++tap) {
              const int64_t shift = conv->phases == 4 && conv->taps == 2;
              const float* line = rings[input].row(row * stride - padding + tap + (shift ? py : 0));
              segments[count++] = {line + (shift ? px : 0) * channels, conv->taps * channels,
                                   stride * channels};
            }
          }
          const int64_t at = ((n * s.out_h + row * up + py) * s.out_w + px) * s.out;
          PanelOutput out = {};
          out.y = y.f32() + at;
          out.residual = residual.present() ? residual.f32() + at : nullptr;
          out.pixel_stride = up * s.out;
          out.relu = activation == Activation::relu;
          for (int64_t panel = 0; panel < conv->panels; ++panel) {
            const int64_t width = conv->plan.width(), channel = panel * width;
            out.channels = std::min(width, s.out - channel);
            out.bias = conv->bias.data() + channel;
            panel_row(conv->plan, conv->panel(phase, panel), segments, count, step_pixels, out,
                      sums);
            out.y += width;
            if (out.residual != nullptr) out.residual += width;
          }
        }
      }
    }
  };

  const int64_t rows = s.n * step_rows;
  if (threads_ == 1) {
    walk(0, rows, scratch(0, floats));
    return;
  }
#pragma omp parallel num_threads(threads_)
  {
    const int64_t thread = omp_get_thread_num(), team = omp_get_num_threads();
    walk(rows * thread / team, rows * (thread + 1) / team,
         scratch(static_cast<int>(thread), floats));
  }
}

}  // namespace driftless
