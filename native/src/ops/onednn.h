#pragma once

#include <cstdint>
#include <memory>

namespace driftless {

/// The only place that knows oneDNN (2.x and 3.x build primitive descriptors differently).
/// Primitives and their scratch memory are cached by shape.
class MatrixProduct {
 public:
  MatrixProduct();
  ~MatrixProduct();

  /// y [rows, out] = x [rows, in] * weight^T with weight [out, in], row-major; nothing overlaps.
  /// Runs on as many threads as the caller's OpenMP setting allows.
  void run(const float* x, const float* weight, float* y, int64_t rows, int64_t in, int64_t out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace driftless
