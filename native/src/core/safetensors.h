#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/mapped_file.h"
#include "core/tensor_file.h"

namespace driftless {

/// A safetensors file. The header is checked completely when the file is opened: length, JSON,
/// dtypes, shapes, offsets inside the file, byte counts.
class SafeTensors : public TensorFile {
 public:
  /// Throws Error when the file cannot be opened or is not valid.
  explicit SafeTensors(const std::string& path);

 private:
  void parse_header();

  MappedFile file_;
};

/// A model in several safetensors files, given by the index beside them (*.index.json).
class ShardedSafeTensors : public TensorFile {
 public:
  /// Throws Error when the index or a file is missing or not valid, or when they disagree.
  explicit ShardedSafeTensors(const std::string& index_path);

 private:
  std::vector<std::unique_ptr<SafeTensors>> files_;
};

}  // namespace driftless
