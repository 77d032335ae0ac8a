#include "addon/wake_function.h"

#include <memory>
#include <utility>

namespace driftless::addon {
namespace {

// One run may be under way and one asked for; more would find nothing to do.
constexpr size_t kMaxQueuedRuns = 1;

}  // namespace

WakeFunction::WakeFunction(Napi::Env env, const char* name, std::function<void(Napi::Env)> wake) {
  auto state = std::make_unique<State>();
  state->wake = std::move(wake);
  const napi_status status = napi_create_threadsafe_function(
      env, nullptr, nullptr, Napi::String::New(env, name), kMaxQueuedRuns, 1, nullptr, finalize,
      state.get(), call, &function_);
  if (status != napi_ok) throw Napi::Error::New(env);
  state_ = state.release();
  napi_unref_threadsafe_function(env, function_);
}

void WakeFunction::ask() const {
  // napi_queue_full means that a run is coming anyway; napi_closing, that the environment is going
  // down. Neither needs an answer.
  napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
}

void WakeFunction::release() {
  state_->wake = nullptr;
  state_ = nullptr;
  napi_release_threadsafe_function(function_, napi_tsfn_release);
}

void WakeFunction::call(napi_env env, napi_value, void* context, void*) {
  const auto* state = static_cast<State*>(context);
  if (env == nullptr || !state->wake) return;  // the environment is going down, or released
  Napi::HandleScope scope(env);
  try {
    // A copy, because the call may release and so replace the function under its own feet.
    const auto wake = state->wake;
    wake(env);
  } catch (const Napi::Error& error) {
    // Becomes an uncaughtException. A status other than ok means that JavaScript cannot run any
    // more.
    napi_fatal_exception(env, error.Value());
  }
}

void WakeFunction::finalize(napi_env, void*, void* context) { delete static_cast<State*>(context); }

}  // namespace driftless::addon
