#pragma once

#include <napi.h>

namespace driftless::addon {

/// What one JavaScript environment (the main thread or a worker) keeps of the addon.
struct InstanceData {
  Napi::FunctionReference engine_class;
  Napi::FunctionReference session_class;
};

}  // namespace driftless::addon
