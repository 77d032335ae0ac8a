#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"

namespace driftless {

/// A safetensors file, mapped read-only. The header is checked completely when the file is
/// opened (length, JSON, dtypes, shapes, offsets inside the file, byte counts), so a truncated
/// or forged file is an Error and never a wild read.
class SafeTensors {
 public:
  enum class Type { F32, F16, BF16, F8_E4M3, I32, I64, U8 };
  struct Entry {
    Type type;
    Shape shape;
    const uint8_t* data;  // Not necessarily aligned: read through the load functions.
    size_t bytes;
  };

  /// Throws Error when the file cannot be opened or is not valid.
  explicit SafeTensors(const std::string& path);
  ~SafeTensors();
  SafeTensors(const SafeTensors&) = delete;
  SafeTensors& operator=(const SafeTensors&) = delete;

  const std::string& path() const { return path_; }
  std::vector<std::string> names() const;  // Sorted.
  bool has(const std::string& name) const;
  /// Throws Error naming file and tensor when it is missing.
  const Entry& entry(const std::string& name) const;

  /// A copy widened to f32 (from F32, F16, BF16, F8_E4M3); throws Error for other types.
  Tensor load_f32(const std::string& name, Arena& arena) const;
  /// The same, and throws Error unless the shape is `expected`.
  Tensor load_f32(const std::string& name, const Shape& expected, Arena& arena) const;
  /// A copy as i32 (from I32, or I64 values that fit); throws Error for other types.
  Tensor load_i32(const std::string& name, Arena& arena) const;

 private:
  void parse_header();

  std::string path_;
  const uint8_t* mapped_ = nullptr;
  size_t mapped_bytes_ = 0;
  std::map<std::string, Entry> entries_;
};

const char* safetensors_type_name(SafeTensors::Type type);

/// Widening of single values, exact: every F16, BF16 and F8_E4M3 value is an f32 value.
float f16_to_f32(uint16_t bits);
float bf16_to_f32(uint16_t bits);
float f8_e4m3_to_f32(uint8_t bits);

}  // namespace driftless
