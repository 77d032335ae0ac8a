#pragma once

#include <napi.h>

#include <memory>

#include "addon/wake_function.h"
#include "media/media_engine.h"

namespace driftless::addon {

/// JavaScript's NativeSession (server/engine/process/native.ts). It keeps itself alive until it is
/// closed, because its callbacks are wanted even when nobody holds the object.
class SessionObject : public Napi::ObjectWrap<SessionObject> {
 public:
  static Napi::Function define(Napi::Env env);

  /// Arguments: an External of std::shared_ptr<MediaEngine>, options, onFrame, onEvent.
  explicit SessionObject(const Napi::CallbackInfo& info);
  ~SessionObject() override;

 private:
  void push_frame(const Napi::CallbackInfo& info);
  Napi::Value set_transform(const Napi::CallbackInfo& info);
  void set_bitrate(const Napi::CallbackInfo& info);
  void request_key_frame(const Napi::CallbackInfo& info);
  void request_low_key_frame(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  void deliver(Napi::Env env);
  void finish_close(Napi::Env env);
  static void on_environment_end(void* self);

  std::shared_ptr<MediaEngine> engine_;
  std::unique_ptr<WakeFunction> wake_;
  std::shared_ptr<MediaSession> session_;
  Napi::FunctionReference on_frame_, on_event_;
  Napi::ObjectReference last_stats_;  // after the end
  bool closing_ = false;
  bool closed_ = false;
};

}  // namespace driftless::addon
