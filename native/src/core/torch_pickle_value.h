#pragma once

// What a pickle's program works on while torch_pickle.cc reads it, and the names that it may use.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/torch_pickle.h"

namespace driftless::torch_pickle {

using Type = TensorFile::Type;

struct Value {
  enum class Kind {
    none,
    boolean,
    integer,
    real,
    text,
    sequence,
    dictionary,
    function,
    element_type,
    storage,
    tensor
  };
  Kind kind = Kind::none;
  int64_t integer = 0;  // also of a boolean
  std::string text;     // also a function's name
  std::vector<Value*> items;
  std::vector<std::pair<Value*, Value*>> pairs;
  Type type = Type::F32;
  bool untyped = false;  // a storage type that leaves its element type to the tensor
  TorchTensor tensor;
};

inline const char* kind_name(Value::Kind kind) {
  static const char* const kNames[] = {
      "None",         "a boolean",  "an integer",      "a float",   "a string", "a tuple or list",
      "a dictionary", "a function", "an element type", "a storage", "a tensor"};
  return kNames[static_cast<size_t>(kind)];
}

struct KnownType {
  const char* name;
  Type type;
};
constexpr KnownType kStorages[] = {
    {"torch.FloatStorage", Type::F32},     {"torch.HalfStorage", Type::F16},
    {"torch.BFloat16Storage", Type::BF16}, {"torch.Float8_e4m3fnStorage", Type::F8_E4M3},
    {"torch.LongStorage", Type::I64},      {"torch.IntStorage", Type::I32},
    {"torch.ByteStorage", Type::U8},
};
constexpr KnownType kElementTypes[] = {
    {"torch.float32", Type::F32},   {"torch.float16", Type::F16},
    {"torch.bfloat16", Type::BF16}, {"torch.float8_e4m3fn", Type::F8_E4M3},
    {"torch.int64", Type::I64},     {"torch.int32", Type::I32},
    {"torch.uint8", Type::U8},
};
constexpr const char* kUntyped = "torch.storage.UntypedStorage";
constexpr const char* kFunctions[] = {
    "collections.OrderedDict", "torch.Size", "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3", "torch._utils._rebuild_parameter"};

}  // namespace driftless::torch_pickle
