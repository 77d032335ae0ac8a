#include "core/tensor.h"

#include "core/error.h"

namespace driftless {

size_t dtype_size(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::u8:
    case DType::e4m3:
      return 1;
  }
  throw Error("dtype", "a known value", static_cast<int>(dtype));
}

const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::bf16:
      return "bf16";
    case DType::f16:
      return "f16";
    case DType::i32:
      return "i32";
    case DType::u8:
      return "u8";
    case DType::e4m3:
      return "e4m3";
  }
  return "unknown";
}

Shape::Shape(std::initializer_list<int64_t> dims)
    : Shape(dims.begin(), static_cast<int>(dims.size())) {}

Shape::Shape(const int64_t* dims, int rank) : rank_(rank) {
  DL_CHECK(rank >= 0 && rank <= kMaxRank, "number of dimensions", "at most 6", rank);
  for (int axis = 0; axis < rank; ++axis) {
    DL_CHECK(dims[axis] >= 0, "dimension", "0 or more", dims[axis]);
    dims_[axis] = dims[axis];
  }
}

int64_t Shape::operator[](int axis) const {
  const int index = axis < 0 ? axis + rank_ : axis;
  DL_CHECK(index >= 0 && index < rank_, "axis of shape " + text(), "an axis inside it", axis);
  return dims_[index];
}

int64_t Shape::count() const {
  int64_t count = 1;
  for (int axis = 0; axis < rank_; ++axis) count *= dims_[axis];
  return count;
}

bool Shape::operator==(const Shape& other) const {
  if (rank_ != other.rank_) return false;
  for (int axis = 0; axis < rank_; ++axis) {
    if (dims_[axis] != other.dims_[axis]) return false;
  }
  return true;
}

std::string Shape::text() const {
  std::string text = "[";
  for (int axis = 0; axis < rank_; ++axis) {
    if (axis > 0) text += ", ";
    text += std::to_string(dims_[axis]);
  }
  return text + "]";
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.text(); }

void Tensor::require(DType dtype) const {
  DL_CHECK(present(), "tensor", "data", "an absent tensor");
  DL_CHECK(memory_ != Memory::device, "tensor memory", "memory that the host can reach",
           "a GPU's own");
  if (dtype != dtype_) throw Error("tensor dtype", dtype_name(dtype), dtype_name(dtype_));
}

float* Tensor::f32_address() const {
  if (dtype_ != DType::f32) throw Error("tensor dtype", dtype_name(DType::f32), dtype_name(dtype_));
  return static_cast<float*>(data_);
}

float* Tensor::f32() const {
  require(DType::f32);
  return static_cast<float*>(data_);
}

int32_t* Tensor::i32() const {
  require(DType::i32);
  return static_cast<int32_t*>(data_);
}

uint8_t* Tensor::u8() const {
  require(DType::u8);
  return static_cast<uint8_t*>(data_);
}

uint16_t* Tensor::bf16() const {
  require(DType::bf16);
  return static_cast<uint16_t*>(data_);
}

Tensor Tensor::reshape(Shape shape) const {
  DL_CHECK_EQ("elements of " + shape.text() + " made from " + shape_.text(), count(),
              shape.count());
  return Tensor(dtype_, shape, data_, memory_);
}

Tensor Tensor::slice(int64_t begin, int64_t end) const {
  const int64_t size = dim(0);
  DL_CHECK(begin >= 0 && begin <= end && end <= size, "slice of shape " + shape_.text(),
           "0 <= begin <= end <= " + std::to_string(size),
           std::to_string(begin) + ".." + std::to_string(end));
  int64_t dims[Shape::kMaxRank];
  for (int axis = 0; axis < rank(); ++axis) dims[axis] = dim(axis);
  dims[0] = end - begin;
  const size_t row = size == 0 ? 0 : bytes() / static_cast<size_t>(size);
  return Tensor(dtype_, Shape(dims, rank()),
                static_cast<uint8_t*>(data_) + row * static_cast<size_t>(begin), memory_);
}

Tensor Tensor::at(int64_t index) const {
  const Tensor one = slice(index, index + 1);
  int64_t dims[Shape::kMaxRank];
  for (int axis = 1; axis < rank(); ++axis) dims[axis - 1] = dim(axis);
  return Tensor(dtype_, Shape(dims, rank() - 1), one.data(), memory_);
}

}  // namespace driftless
