#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "media/media_engine.h"

namespace driftless::addon {

/// JavaScript's NativeEngine (server/engine/process/native.ts).
class EngineObject : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function define(Napi::Env env);

  /// Arguments: options.
  explicit EngineObject(const Napi::CallbackInfo& info);
  ~EngineObject() override;

 private:
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value create_session(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  static void on_environment_end(void* self);

  std::shared_ptr<MediaEngine> engine_;
  std::string backend_, h264_encoder_, video_decoder_;
};

}  // namespace driftless::addon
