#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace driftless {

/// SHA-256 of bytes that come in parts (libcrypto).
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void add(const void* data, size_t size);
  /// 64 lower-case hexadecimal digits; the object is used up.
  std::string finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// Of a whole file. Throws Error when it cannot be read.
std::string sha256_of_file(const std::string& path);

}  // namespace driftless
