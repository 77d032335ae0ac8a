#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"

namespace driftless {

/// Named tensors in a file, whatever its format. Everything is checked when the file is opened, so
/// that a truncated or forged file is an Error and never a wild read; values are read from the
/// mapped file when they are asked for.
class TensorFile {
 public:
  enum class Type { F32, F16, BF16, F8_E4M3, I32, I64, U8 };
  struct Entry {
    Type type = Type::F32;
    Shape shape;
    /// Elements from one index of an axis to the next.
    Shape strides;
    /// The first element. Not necessarily aligned: read through the load functions.
    const uint8_t* data = nullptr;
    /// Of the tensor's values, densely packed.
    size_t bytes = 0;

    /// Values lie in the order of the shape without gaps, so that `bytes` can be copied as they
    /// are.
    bool dense() const;
  };

  virtual ~TensorFile() = default;

  /// A file of any known format: safetensors, the index of a sharded safetensors model
  /// (*.safetensors.index.json), or a PyTorch archive (*.pt, *.pth). Told apart by content.
  /// section: the dictionary of an archive to take, as "generator_ema"; empty for the usual ones.
  /// Throws Error where there is none of this name.
  static std::unique_ptr<TensorFile> open(const std::string& path, const std::string& section = "");

  const std::string& path() const { return path_; }
  std::vector<std::string> names() const;  // Sorted.
  bool has(const std::string& name) const;
  /// Throws Error naming file and tensor when it is missing.
  const Entry& entry(const std::string& name) const;

  /// A copy widened to f32 (from F32, F16, BF16, F8_E4M3); throws Error for other types.
  Tensor load_f32(const std::string& name, Arena& arena) const;
  /// The same, and throws Error unless the shape is `expected`.
  Tensor load_f32(const std::string& name, const Shape& expected, Arena& arena) const;
  /// Some rows (indices of the first axis) of a matrix that must have shape `expected`, widened to
  /// f32; nothing else of it is read. Throws Error for a row that it does not have.
  Tensor load_rows_f32(const std::string& name, const Shape& expected,
                       const std::vector<int32_t>& rows, Arena& arena) const;
  /// A copy as i32 (from I32, or I64 values that fit); throws Error for other types.
  Tensor load_i32(const std::string& name, Arena& arena) const;

  /// Reads what the format has checksums of and throws Error where one does not fit. Opening a file
  /// does not do this, because it reads every byte.
  virtual void check_contents() const {}

 protected:
  explicit TensorFile(const std::string& path) : path_(path) {}

  std::map<std::string, Entry> entries_;

 private:
  std::string path_;
};

const char* tensor_type_name(TensorFile::Type type);
/// Bytes of one element.
size_t tensor_type_size(TensorFile::Type type);

/// Strides of densely packed values.
Shape dense_strides(const Shape& shape);

/// The shape of a tensor that a file declares; throws Error for a negative or too large one.
Shape checked_shape(const std::vector<int64_t>& dims, const std::string& where);

/// Copies elements [begin, begin + count) of an entry, in the order of its shape, to `out`, which
/// has room for them.
void copy_elements(const TensorFile::Entry& entry, int64_t begin, int64_t count, uint8_t* out);

/// Widening of single values, exact: every F16, BF16 and F8_E4M3 value is an f32 value.
float f16_to_f32(uint16_t bits);
float bf16_to_f32(uint16_t bits);
float f8_e4m3_to_f32(uint8_t bits);

}  // namespace driftless
