#include "core/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "core/json.h"

namespace driftless {

namespace {

using Type = SafeTensors::Type;

// The format's own limit: a header is text about tensors, not data.
constexpr uint64_t kMaxHeaderBytes = 100 * 1000 * 1000;

size_t type_size(Type type) {
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

Type parse_type(const std::string& name, const std::string& where) {
  for (Type type :
       {Type::F32, Type::F16, Type::BF16, Type::F8_E4M3, Type::I32, Type::I64, Type::U8}) {
    if (name == safetensors_type_name(type)) return type;
  }
  throw Error(where + " dtype", "F32, F16, BF16, F8_E4M3, I32, I64 or U8", name);
}

template <typename T>
T read_at(const uint8_t* data, size_t index) {
  T value;
  std::memcpy(&value, data + index * sizeof(T), sizeof(T));
  return value;
}

Shape parse_shape(const Json& json, const std::string& where) {
  const auto dims = json_get<std::vector<int64_t>>(json, "shape", where);
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

}  // namespace

const char* safetensors_type_name(Type type) {
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

SafeTensors::SafeTensors(const std::string& path) : path_(path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw Error("cannot open " + path, "a readable file", std::strerror(errno));
  struct stat status = {};
  const bool known = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
  if (!known || status.st_size < 8) {
    ::close(file);
    throw Error(path, "a safetensors file of at least 8 bytes",
                known ? std::to_string(status.st_size) + " bytes" : "no regular file");
  }
  mapped_bytes_ = static_cast<size_t>(status.st_size);
  void* mapped = ::mmap(nullptr, mapped_bytes_, PROT_READ, MAP_PRIVATE, file, 0);
  ::close(file);
  if (mapped == MAP_FAILED) throw Error("cannot map " + path, "success", std::strerror(errno));
  mapped_ = static_cast<const uint8_t*>(mapped);
  try {
    parse_header();
  } catch (...) {
    ::munmap(mapped, mapped_bytes_);
    throw;
  }
}

SafeTensors::~SafeTensors() { ::munmap(const_cast<uint8_t*>(mapped_), mapped_bytes_); }

void SafeTensors::parse_header() {
  const uint64_t header_bytes = read_at<uint64_t>(mapped_, 0);
  DL_CHECK(header_bytes <= kMaxHeaderBytes && header_bytes <= mapped_bytes_ - 8,
           path_ + " header length", "at most " + std::to_string(mapped_bytes_ - 8), header_bytes);
  const char* text = reinterpret_cast<const char*>(mapped_ + 8);
  const Json header = Json::parse(text, text + header_bytes, nullptr, false);
  DL_CHECK(header.is_object(), path_ + " header", "a JSON object", header.type_name());
  const uint8_t* data = mapped_ + 8 + header_bytes;
  const uint64_t data_bytes = mapped_bytes_ - 8 - header_bytes;

  for (const auto& [name, json] : header.items()) {
    if (name == "__metadata__") continue;
    const std::string where = path_ + " tensor " + name;
    Entry entry;
    entry.type = parse_type(json_get<std::string>(json, "dtype", where), where);
    entry.shape = parse_shape(json, where);
    const auto offsets = json_get<std::vector<uint64_t>>(json, "data_offsets", where);
    DL_CHECK_EQ(where + " number of offsets", size_t{2}, offsets.size());
    DL_CHECK(offsets[0] <= offsets[1] && offsets[1] <= data_bytes, where + " data offsets",
             "a range inside " + std::to_string(data_bytes) + " bytes",
             std::to_string(offsets[0]) + ".." + std::to_string(offsets[1]));
    entry.bytes = static_cast<size_t>(offsets[1] - offsets[0]);
    DL_CHECK_EQ(where + " bytes of shape " + entry.shape.text(),
                static_cast<size_t>(entry.shape.count()) * type_size(entry.type), entry.bytes);
    entry.data = data + offsets[0];
    entries_.emplace(name, entry);
  }
}

std::vector<std::string> SafeTensors::names() const {
  std::vector<std::string> names;
  for (const auto& item : entries_) names.push_back(item.first);
  return names;
}

bool SafeTensors::has(const std::string& name) const { return entries_.count(name) != 0; }

const SafeTensors::Entry& SafeTensors::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) throw Error(path_, "a tensor named " + name, "none");
  return found->second;
}

Tensor SafeTensors::load_f32(const std::string& name, Arena& arena) const {
  const Entry& source = entry(name);
  const Tensor result = arena.tensor(source.shape);
  float* out = result.f32();
  const size_t count = static_cast<size_t>(result.count());
  switch (source.type) {
    case Type::F32:
      if (count > 0) std::memcpy(out, source.data, source.bytes);
      break;
    case Type::F16:
      for (size_t i = 0; i < count; ++i) out[i] = f16_to_f32(read_at<uint16_t>(source.data, i));
      break;
    case Type::BF16:
      for (size_t i = 0; i < count; ++i) out[i] = bf16_to_f32(read_at<uint16_t>(source.data, i));
      break;
    case Type::F8_E4M3:
      for (size_t i = 0; i < count; ++i) out[i] = f8_e4m3_to_f32(source.data[i]);
      break;
    default:
      throw Error(path_ + " tensor " + name + " dtype", "a floating-point type",
                  safetensors_type_name(source.type));
  }
  return result;
}

Tensor SafeTensors::load_f32(const std::string& name, const Shape& expected, Arena& arena) const {
  DL_CHECK_EQ(path_ + " tensor " + name + " shape", expected, entry(name).shape);
  return load_f32(name, arena);
}

Tensor SafeTensors::load_i32(const std::string& name, Arena& arena) const {
  const Entry& source = entry(name);
  const Tensor result = arena.tensor(source.shape, DType::i32);
  int32_t* out = result.i32();
  const size_t count = static_cast<size_t>(result.count());
  if (source.type == Type::I32) {
    if (count > 0) std::memcpy(out, source.data, source.bytes);
  } else if (source.type == Type::I64) {
    for (size_t i = 0; i < count; ++i) {
      const int64_t value = read_at<int64_t>(source.data, i);
      DL_CHECK(value >= INT32_MIN && value <= INT32_MAX, path_ + " tensor " + name,
               "values that fit 32 bits", value);
      out[i] = static_cast<int32_t>(value);
    }
  } else {
    throw Error(path_ + " tensor " + name + " dtype", "I32 or I64",
                safetensors_type_name(source.type));
  }
  return result;
}

}  // namespace driftless
