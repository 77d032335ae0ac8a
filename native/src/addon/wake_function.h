#pragma once

#include <napi.h>

#include <functional>

namespace driftless::addon {

/// Makes a function run on the JavaScript thread soon after any thread asked for it. Asking never
/// blocks and never queues up: several wishes that come before the function runs become one run.
/// It does not keep the process alive.
class WakeFunction {
 public:
  /// wake: runs on the JavaScript thread inside a handle scope. Throws Napi::Error.
  WakeFunction(Napi::Env env, const char* name, std::function<void(Napi::Env)> wake);
  WakeFunction(const WakeFunction&) = delete;
  WakeFunction& operator=(const WakeFunction&) = delete;

  /// Safe from any thread until release(), or until the environment's cleanup hooks that were added
  /// before this object was made begin to run.
  void ask() const;

  /// On the JavaScript thread, when no other thread will ask any more. The function does not run
  /// afterwards, not even for what was asked before.
  void release();

 private:
  // Owned by Node's side, which may still have runs queued when this object is gone.
  struct State {
    std::function<void(Napi::Env)> wake;
  };

  static void call(napi_env env, napi_value callback, void* context, void* data);
  static void finalize(napi_env env, void* data, void* context);

  napi_threadsafe_function function_ = nullptr;
  State* state_ = nullptr;
};

}  // namespace driftless::addon
