#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "core/sha256.h"
#include "core/tensor_file.h"

namespace driftless {

/// A tensor on its way from one file to another: types are kept, views become dense.
struct TensorToWrite {
  std::string name;
  TensorFile::Entry entry;  // of a file that stays open until the tensor is written
};

struct WrittenFile {
  uint64_t bytes = 0;
  std::string sha256;
};

/// Writes a safetensors file part by part, so that memory does not grow with the model. Throws
/// Error when the disk does not take it; what was written until then stays behind.
WrittenFile write_safetensors_file(const std::string& path,
                                   const std::vector<TensorToWrite>& tensors);

}  // namespace driftless
