#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace driftless {

/// The bytes of one FlatBuffers file. Every read is checked against its end, so that a truncated
/// or forged file is an Error and never a wild read. Only what readers of small, trusted schemas
/// need: tables, vectors, strings and scalars.
struct FlatBytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
  std::string name;  ///< Of the file, for messages.

  /// A little-endian scalar at `at`. Throws Error beyond the end.
  template <typename T>
  T read(size_t at) const;
  /// Throws Error unless [at, at + bytes) lies inside.
  void require(size_t at, size_t bytes) const;
  /// Where the unsigned offset stored at `at` points to.
  size_t follow(size_t at) const;
};

/// A vector of scalars or of references to tables.
class FlatVector {
 public:
  FlatVector() = default;
  /// element_bytes: of one element as stored (4 for references).
  FlatVector(const FlatBytes* bytes, size_t at, size_t element_bytes);

  size_t size() const { return size_; }
  /// Throws Error for an index beyond the end.
  template <typename T>
  T value(size_t index) const {
    return bytes_->read<T>(element(index, sizeof(T)));
  }
  class FlatTable table(size_t index) const;
  /// The elements as they are stored.
  const uint8_t* data() const;

 private:
  size_t element(size_t index, size_t bytes) const;

  const FlatBytes* bytes_ = nullptr;
  size_t begin_ = 0, size_ = 0, element_bytes_ = 1;
};

/// A table: fields are named by their index in the schema; an absent one has the schema's default.
class FlatTable {
 public:
  FlatTable(const FlatBytes* bytes, size_t at);
  /// The table the file begins with. identifier: four letters. Throws Error for another one.
  static FlatTable root(const FlatBytes* bytes, const char* identifier);

  bool has(int field) const { return slot(field) != 0; }
  template <typename T>
  T value(int field, T fallback) const {
    const size_t at = slot(field);
    return at == 0 ? fallback : bytes_->read<T>(at);
  }
  /// Empty when the field is absent.
  FlatVector vector(int field, size_t element_bytes) const;
  /// Throws Error when the field is absent.
  FlatTable table(int field) const;
  /// Empty when the field is absent.
  std::string text(int field) const;

 private:
  /// Where the field's value is; 0 when absent.
  size_t slot(int field) const;

  const FlatBytes* bytes_;
  size_t at_, vtable_, vtable_bytes_;
};

}  // namespace driftless
