#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace driftless {

/// A regular file, mapped read-only. Pages are read when they are touched, so that a file may be
/// larger than the memory. The file must not be shortened while it is mapped.
class MappedFile {
 public:
  /// Throws Error when the file cannot be opened or has fewer than `least_bytes`; `kind` says what
  /// it should have been.
  MappedFile(const std::string& path, const std::string& kind, size_t least_bytes);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::string path_;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace driftless
