#pragma once

// The part of Python's pickle format that plain PyTorch state dicts use: dictionaries, lists,
// tuples, strings, numbers and tensors. A pickle is a program; this reader runs none of it. What a
// state dict does not need is refused by name, so that no file can make it do anything but read.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/tensor_file.h"

namespace driftless {

/// A tensor as a pickle describes it: a view of a storage record.
struct TorchTensor {
  TensorFile::Type type = TensorFile::Type::F32;
  std::string storage;         // name of the record below data/
  int64_t storage_bytes = 0;   // that it must have
  int64_t offset = 0;          // of the first element, in elements
  std::vector<int64_t> shape;  // not yet checked against the storage
  std::vector<int64_t> strides;
};

struct TorchStateDict {
  /// The key of the dictionary that was taken; empty for the outermost one.
  std::string section;
  /// Tensors by name; names of nested dictionaries are joined by dots.
  std::map<std::string, TorchTensor> tensors;
};

/// Reads data.pkl of a PyTorch archive. Where the outermost dictionary holds one of `sections`,
/// the first of them that it holds is taken instead of it. Values that are no tensors are left out.
/// Throws Error, beginning with `where`, for everything that plain state dicts do not contain; an
/// unknown global is named.
TorchStateDict read_torch_pickle(const uint8_t* data, size_t size,
                                 const std::vector<std::string>& sections,
                                 const std::string& where);

}  // namespace driftless
