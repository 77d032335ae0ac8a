#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <string>

namespace driftless {

/// e4m3: 8 bits of a GPU, 4 of them an exponent.
enum class DType { f32, bf16, f16, i32, u8, e4m3 };

/// Who can reach a tensor's memory: this process's code, a GPU's kernels, or both.
enum class Memory : uint8_t { host, device, unified };

/// Bytes of one element.
size_t dtype_size(DType dtype);
const char* dtype_name(DType dtype);

/// Up to six dimensions, row-major, last axis fastest.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);  // Throws Error for more than 6 or negative dims.
  Shape(const int64_t* dims, int rank);

  int rank() const { return rank_; }
  /// Negative axes count from the end. Throws Error when out of range.
  int64_t operator[](int axis) const;
  /// Product of all dims (1 for rank 0).
  int64_t count() const;
  bool operator==(const Shape& other) const;
  bool operator!=(const Shape& other) const { return !(*this == other); }
  std::string text() const;  // "[2, 3, 4]"

 private:
  int64_t dims_[kMaxRank] = {};
  int rank_ = 0;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);

/// A non-owning, contiguous, typed view: cheap to copy; whoever owns the memory (an Arena, a
/// mapped file, a std::vector) must outlive it. An empty Tensor (data() == nullptr) means
/// "absent" wherever an operation documents an optional argument.
class Tensor {
 public:
  Tensor() = default;
  Tensor(DType dtype, Shape shape, void* data, Memory memory = Memory::host)
      : dtype_(dtype), memory_(memory), shape_(shape), data_(data) {}
  /// A view of f32 values the caller owns.
  Tensor(Shape shape, float* data) : Tensor(DType::f32, shape, data) {}

  bool present() const { return data_ != nullptr; }
  DType dtype() const { return dtype_; }
  Memory memory() const { return memory_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  int64_t dim(int axis) const { return shape_[axis]; }
  int64_t count() const { return shape_.count(); }
  size_t bytes() const { return static_cast<size_t>(count()) * dtype_size(dtype_); }

  void* data() const { return data_; }
  /// Typed pointers for code of this process; throw Error when the dtype is another one or the
  /// memory is a GPU's.
  float* f32() const;
  int32_t* i32() const;
  uint8_t* u8() const;
  uint16_t* bf16() const;
  /// The address of f32 values in any memory, to be handed on and not read here.
  float* f32_address() const;

  /// The same elements under another shape; throws Error when the counts differ.
  Tensor reshape(Shape shape) const;
  /// Elements [begin, end) of the first axis.
  Tensor slice(int64_t begin, int64_t end) const;
  /// One element of the first axis, with that axis dropped.
  Tensor at(int64_t index) const;

 private:
  void require(DType dtype) const;

  DType dtype_ = DType::f32;
  Memory memory_ = Memory::host;
  Shape shape_;
  void* data_ = nullptr;
};

}  // namespace driftless
