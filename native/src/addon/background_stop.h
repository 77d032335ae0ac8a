#pragma once

#include <napi.h>

#include <functional>
#include <utility>

namespace driftless::addon {

/// Runs `stop` (which joins threads, so it may block) on a pool thread, then `finish` on the
/// JavaScript thread, then resolves its promise. Deletes itself.
class BackgroundStop : public Napi::AsyncWorker {
 public:
  static Napi::Promise run(Napi::Env env, std::function<void()> stop,
                           std::function<void(Napi::Env)> finish) {
    auto* worker = new BackgroundStop(env, std::move(stop), std::move(finish));
    Napi::Promise promise = worker->deferred_.Promise();
    worker->Queue();
    return promise;
  }

  void Execute() override { stop_(); }

  void OnOK() override {
    finish_(Env());
    deferred_.Resolve(Env().Undefined());
  }

  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  BackgroundStop(Napi::Env env, std::function<void()> stop, std::function<void(Napi::Env)> finish)
      : Napi::AsyncWorker(env, "driftless.stop"),
        deferred_(Napi::Promise::Deferred::New(env)),
        stop_(std::move(stop)),
        finish_(std::move(finish)) {}

  Napi::Promise::Deferred deferred_;
  std::function<void()> stop_;
  std::function<void(Napi::Env)> finish_;
};

}  // namespace driftless::addon
