#pragma once

// What a batch costs on this device, learned from the batches that it ran:
//
//   duration = forward + row * rows + chunk * chunks
//
// After each batch the three costs are fitted to the last 32 by least squares, the newest weighing
// most, in relative errors so that large batches do not drown small ones. Two things make it last:
// - Outliers (page faults, a noisy neighbour): first the median of measured / expected over the
// last
//   nine batches gives the device's pace, which follows a device that throttles after five batches;
//   what lies far from that weighs little.
// - A ridge holds the costs near their last values, times the pace where that has changed clearly.
// So
//   what the recent batches say nothing about, because all had the same shape, stays as it was
//   known.

#include <array>
#include <cstddef>

namespace driftless {

/// What a batch has to compute, in pictures of the model's own size: a session of half the area
/// with two steps adds one row and half a chunk.
struct BatchLoad {
  double rows = 0;    // (session, step) entries of the forward
  double chunks = 0;  // sessions: each encodes and decodes one chunk

  BatchLoad operator+(const BatchLoad& other) const {
    return {rows + other.rows, chunks + other.chunks};
  }
  bool empty() const { return rows == 0 && chunks == 0; }
};

class CostModel {
 public:
  /// first_guess_ms: what one chunk of one step took in the pipeline's warm-up; 0 when unknown.
  explicit CostModel(double first_guess_ms);

  /// Takes a batch's measured duration in. Not positive, not finite or empty: ignored.
  void observe(const BatchLoad& load, double measured_ms);

  /// Most likely duration in milliseconds; 0 for nothing to do.
  double expected_ms(const BatchLoad& load) const;
  /// A duration that about nine of ten batches stay below.
  double upper_ms(const BatchLoad& load) const { return spread_ * expected_ms(load); }
  /// The part of expected_ms() that a batch costs once, however many share it.
  double forward_ms() const { return costs_[0]; }

 private:
  static constexpr size_t kWindow = 32;     // batches remembered
  static constexpr size_t kPaceWindow = 9;  // batches that the pace looks at

  struct Sample {
    BatchLoad load;
    double measured_ms = 0;
  };

  const Sample& sample(size_t age) const { return samples_[(observed_ - 1 - age) % kWindow]; }
  double ratio_quantile(size_t samples, double share) const;
  void fit(size_t samples);

  std::array<double, 3> costs_;  // milliseconds of a forward, a row, a chunk
  double spread_;                // upper_ms / expected_ms
  std::array<Sample, kWindow> samples_;
  size_t observed_ = 0;
};

}  // namespace driftless
