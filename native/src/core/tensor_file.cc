#include "core/tensor_file.h"

#include <cstring>
#include <limits>

#include "core/error.h"
#include "core/safetensors.h"
#include "core/torch_archive.h"

namespace driftless {

namespace {

using Type = TensorFile::Type;

// Mapped bytes are not necessarily aligned.
template <typename T>
T read_at(const uint8_t* data, size_t index) {
  T value;
  std::memcpy(&value, data + index * sizeof(T), sizeof(T));
  return value;
}

// The values of an entry, side by side: the mapped bytes, or a copy in `arena`.
const uint8_t* packed(const TensorFile::Entry& entry, Arena& arena) {
  if (entry.dense()) return entry.data;
  auto* copy = static_cast<uint8_t*>(arena.allocate(entry.bytes));
  copy_elements(entry, 0, entry.shape.count(), copy);
  return copy;
}

// All values of an entry to `out`.
void widen(const TensorFile::Entry& entry, const std::string& where, float* out) {
  Arena copies;
  const uint8_t* data = packed(entry, copies);
  const size_t count = static_cast<size_t>(entry.shape.count());
  switch (entry.type) {
    case Type::F32:
      if (count > 0) std::memcpy(out, data, entry.bytes);
      break;
    case Type::F16:
      for (size_t i = 0; i < count; ++i) out[i] = f16_to_f32(read_at<uint16_t>(data, i));
      break;
    case Type::BF16:
      for (size_t i = 0; i < count; ++i) out[i] = bf16_to_f32(read_at<uint16_t>(data, i));
      break;
    case Type::F8_E4M3:
      for (size_t i = 0; i < count; ++i) out[i] = f8_e4m3_to_f32(data[i]);
      break;
    default:
      throw Error(where + " dtype", "a floating-point type", tensor_type_name(entry.type));
  }
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

std::unique_ptr<TensorFile> TensorFile::open(const std::string& path, const std::string& section) {
  const bool index = ends_with(path, ".index.json");
  if (!section.empty()) {
    DL_CHECK(!index && TorchArchive::looks_like(path), path,
             "a PyTorch archive with \"" + section + "\"", "a file of another format");
    auto archive = std::make_unique<TorchArchive>(path, std::vector<std::string>{section});
    DL_CHECK_EQ(path + ": section", section, archive->section());
    return archive;
  }
  if (index) return std::make_unique<ShardedSafeTensors>(path);
  if (TorchArchive::looks_like(path)) return std::make_unique<TorchArchive>(path);
  return std::make_unique<SafeTensors>(path);
}

const char* tensor_type_name(Type type) {
  switch (type) {
    case Type::F32:
      return "F32";
    case Type::F16:
      return "F16";
    case Type::BF16:
      return "BF16";
    case Type::F8_E4M3:
      return "F8_E4M3";
    case Type::I32:
      return "I32";
    case Type::I64:
      return "I64";
    case Type::U8:
      return "U8";
  }
  return "unknown";
}

size_t tensor_type_size(Type type) {
  switch (type) {
    case Type::I64:
      return 8;
    case Type::F32:
    case Type::I32:
      return 4;
    case Type::F16:
    case Type::BF16:
      return 2;
    case Type::F8_E4M3:
    case Type::U8:
      return 1;
  }
  return 1;
}

Shape checked_shape(const std::vector<int64_t>& dims, const std::string& where) {
  DL_CHECK(dims.size() <= Shape::kMaxRank, where + " rank", "at most 6", dims.size());
  // Each product is checked, so that a forged shape cannot wrap around to a small byte count.
  int64_t count = 1;
  for (int64_t dim : dims) {
    DL_CHECK(dim >= 0, where + " dimension", "0 or more", dim);
    DL_CHECK(dim == 0 || count <= (int64_t{1} << 48) / dim, where + " elements", "fewer than 2^48",
             "more");
    count *= dim;
  }
  return Shape(dims.data(), static_cast<int>(dims.size()));
}

Shape dense_strides(const Shape& shape) {
  int64_t strides[Shape::kMaxRank] = {};
  // Without elements the dimensions may be as large as they like.
  int64_t step = shape.count() == 0 ? 0 : 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[axis] = step;
    step *= shape.count() == 0 ? 0 : shape[axis];
  }
  return Shape(strides, shape.rank());
}

bool TensorFile::Entry::dense() const {
  if (bytes == 0) return true;
  const Shape packed = dense_strides(shape);
  for (int axis = 0; axis < shape.rank(); ++axis) {
    // The stride of an axis of one element says nothing.
    if (shape[axis] != 1 && strides[axis] != packed[axis]) return false;
  }
  return true;
}

void copy_elements(const TensorFile::Entry& entry, int64_t begin, int64_t count, uint8_t* out) {
  const size_t size = tensor_type_size(entry.type);
  if (count == 0) return;
  if (entry.dense()) {
    std::memcpy(out, entry.data + static_cast<size_t>(begin) * size,
                static_cast<size_t>(count) * size);
    return;
  }
  const int rank = entry.shape.rank();
  int64_t index[Shape::kMaxRank] = {};
  for (int axis = rank - 1; axis >= 0; --axis) {
    index[axis] = begin % entry.shape[axis];
    begin /= entry.shape[axis];
  }
  for (int64_t i = 0; i < count; ++i, out += size) {
    int64_t at = 0;
    for (int axis = 0; axis < rank; ++axis) at += index[axis] * entry.strides[axis];
    std::memcpy(out, entry.data + static_cast<size_t>(at) * size, size);
    for (int axis = rank - 1; axis >= 0 && ++index[axis] == entry.shape[axis]; --axis) {
      index[axis] = 0;
    }
  }
}

float f16_to_f32(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1f;
  const uint32_t mantissa = bits & 0x3ff;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  const uint32_t result = sign | wide << 23 | mantissa << 13;
  float value;
  std::memcpy(&value, &result, sizeof value);
  return value;
}

float bf16_to_f32(uint16_t bits) {
  const uint32_t result = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &result, sizeof value);
  return value;
}

float f8_e4m3_to_f32(uint8_t bits) {
  const uint32_t exponent = (bits >> 3) & 0xf;
  const uint32_t mantissa = bits & 7;
  float magnitude;
  if (exponent == 15 && mantissa == 7) {
    magnitude = std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = static_cast<float>(mantissa) * 0x1p-9f;
  } else {
    const uint32_t result = (exponent + 120) << 23 | mantissa << 20;
    std::memcpy(&magnitude, &result, sizeof magnitude);
  }
  return bits & 0x80 ? -magnitude : magnitude;
}

std::vector<std::string> TensorFile::names() const {
  std::vector<std::string> names;
  for (const auto& item : entries_) names.push_back(item.first);
  return names;
}

bool TensorFile::has(const std::string& name) const { return entries_.count(name) != 0; }

const TensorFile::Entry& TensorFile::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) throw Error(path_, "a tensor named " + name, "none");
  return found->second;
}

Tensor TensorFile::load_f32(const std::string& name, Arena& arena) const {
  const Entry& source = entry(name);
  const Tensor result = arena.tensor(source.shape);
  widen(source, path_ + " tensor " + name, result.f32());
  return result;
}

Tensor TensorFile::load_f32(const std::string& name, const Shape& expected, Arena& arena) const {
  DL_CHECK_EQ(path_ + " tensor " + name + " shape", expected, entry(name).shape);
  return load_f32(name, arena);
}

Tensor TensorFile::load_rows_f32(const std::string& name, const Shape& expected,
                                 const std::vector<int32_t>& rows, Arena& arena) const {
  const Entry& source = entry(name);
  const std::string where = path_ + " tensor " + name;
  DL_CHECK_EQ(where + " shape", expected, source.shape);
  DL_CHECK_EQ(where + " rank", 2, source.shape.rank());
  const int64_t width = source.shape[1];
  const Tensor result = arena.tensor({static_cast<int64_t>(rows.size()), width});
  for (size_t i = 0; i < rows.size(); ++i) {
    DL_CHECK(rows[i] >= 0 && rows[i] < source.shape[0], where + " row",
             "0 to " + std::to_string(source.shape[0] - 1), rows[i]);
    Entry row;
    row.type = source.type;
    row.shape = Shape{width};
    row.strides = Shape{source.strides[1]};
    row.bytes = static_cast<size_t>(width) * tensor_type_size(source.type);
    row.data = source.data +
               static_cast<size_t>(rows[i] * source.strides[0]) * tensor_type_size(source.type);
    widen(row, where, result.at(static_cast<int64_t>(i)).f32());
  }
  return result;
}

Tensor TensorFile::load_i32(const std::string& name, Arena& arena) const {
  const Entry& source = entry(name);
  Arena copies;
  const Tensor result = arena.tensor(source.shape, DType::i32);
  const uint8_t* data = packed(source, copies);
  int32_t* out = result.i32();
  const size_t count = static_cast<size_t>(result.count());
  if (source.type == Type::I32) {
    if (count > 0) std::memcpy(out, data, source.bytes);
  } else if (source.type == Type::I64) {
    for (size_t i = 0; i < count; ++i) {
      const int64_t value = read_at<int64_t>(data, i);
      DL_CHECK(value >= INT32_MIN && value <= INT32_MAX, path_ + " tensor " + name,
               "values that fit 32 bits", value);
      out[i] = static_cast<int32_t>(value);
    }
  } else {
    throw Error(path_ + " tensor " + name + " dtype", "I32 or I64", tensor_type_name(source.type));
  }
  return result;
}

}  // namespace driftless
