#include "addon/session_object.h"

#include <exception>
#include <string>

#include "addon/arguments.h"
#include "addon/background_stop.h"
#include "addon/conversions.h"

namespace driftless::addon {
namespace {

constexpr size_t kMaxFrameBytes = 8 << 20;

}  // namespace

Napi::Function SessionObject::define(Napi::Env env) {
  return DefineClass(
      env, "NativeSession",
      {
          InstanceMethod<&SessionObject::push_frame>("pushFrame", napi_default_method),
          InstanceMethod<&SessionObject::set_transform>("setTransform", napi_default_method),
          InstanceMethod<&SessionObject::set_bitrate>("setBitrate", napi_default_method),
          InstanceMethod<&SessionObject::request_key_frame>("requestKeyFrame", napi_default_method),
          InstanceMethod<&SessionObject::request_low_key_frame>("requestLowKeyFrame",
                                                                napi_default_method),
          InstanceMethod<&SessionObject::stats>("stats", napi_default_method),
          InstanceMethod<&SessionObject::close>("close", napi_default_method),
      });
}

SessionObject::SessionObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<SessionObject>(info) {
  const Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsExternal()) {
    throw Napi::TypeError::New(env, "Expected a session to be made by createSession()");
  }
  engine_ = *info[0].As<Napi::External<std::shared_ptr<MediaEngine>>>().Data();
  const SessionOptions options = read_session_options(info[1]);
  on_frame_ = Napi::Persistent(read_function(info[2], "onFrame"));
  on_event_ = Napi::Persistent(read_function(info[3], "onEvent"));
  wake_ = std::make_unique<WakeFunction>(env, "driftless.session",
                                         [this](Napi::Env wake_env) { deliver(wake_env); });
  try {
    session_ = engine_->create_session(options, [wake = wake_.get()] { wake->ask(); });
  } catch (const std::exception& error) {
    wake_->release();
    throw Napi::Error::New(env, error.what());
  }
  // Hooks run last in, first out: this one stops the threads before the environment takes the wake
  // function, which was made earlier, away from them.
  napi_add_env_cleanup_hook(env, on_environment_end, this);
  Ref();  // until finish_close()
}

SessionObject::~SessionObject() {
  if (session_) session_->stop();
}

void SessionObject::push_frame(const Napi::CallbackInfo& info) {
  const Napi::Uint8Array data = read_bytes(info[0], "data", kMaxFrameBytes);
  const double capture_ms = read_number(info[1], "captureTimeMs", -1e15, 1e15);
  if (closing_) return;
  session_->push_frame(data.Data(), data.ByteLength(), capture_ms);
}

Napi::Value SessionObject::set_transform(const Napi::CallbackInfo& info) {
  const Transform transform = read_transform(info[0], "transform");
  if (closing_) throw Napi::Error::New(info.Env(), "Expected an open session, but it was closed");
  if (transform.hides_room() && !engine_->has_mattes()) {
    const bool background = transform.mode == TransformMode::kBackground;
    throw Napi::RangeError::New(
        info.Env(), std::string("Expected ") +
                        (background ? "another transform.mode" : "false for transform.hideRoom") +
                        ", because this engine has no segmentation networks, but received " +
                        (background ? "\"background\"" : "true"));
  }
  if (transform.mode == TransformMode::kRestyle && !engine_->has_model()) {
    throw Napi::RangeError::New(
        info.Env(),
        "Expected \"passthrough\" for transform.mode, because this engine has no "
        "model, but received \"restyle\"");
  }
  return Napi::Number::New(info.Env(), static_cast<double>(session_->set_transform(transform)));
}

void SessionObject::set_bitrate(const Napi::CallbackInfo& info) {
  const int64_t bitrate = read_integer(info[0], "bps", 10'000, 100'000'000);
  if (!closing_) session_->set_bitrate(bitrate);
}

void SessionObject::request_key_frame(const Napi::CallbackInfo&) {
  if (!closing_) session_->request_key_frame();
}

void SessionObject::request_low_key_frame(const Napi::CallbackInfo&) {
  if (!closing_) session_->request_low_key_frame();
}

Napi::Value SessionObject::stats(const Napi::CallbackInfo& info) {
  if (!session_) return last_stats_.Value();
  return stats_to_js(info.Env(), *session_);
}

Napi::Value SessionObject::close(const Napi::CallbackInfo& info) {
  closing_ = true;
  // A second close() must find the object too, although the first one may have let go of it.
  Ref();
  return BackgroundStop::run(
      info.Env(),
      [session = session_] {
        if (session) session->stop();
      },
      [this](Napi::Env env) {
        finish_close(env);
        Unref();
      });
}

void SessionObject::deliver(Napi::Env env) {
  try {
    while (!closing_) {
      const auto event = session_->take_event();
      if (!event) break;
      on_event_.Call({to_js(env, *event)});
    }
    while (!closing_) {
      const auto frame = session_->take_frame();
      if (!frame) break;
      on_frame_.Call({to_js(env, *frame)});
    }
  } catch (const Napi::Error&) {
    // A listener that throws must not cost the frames behind the one it was given.
    wake_->ask();
    throw;
  }
}

void SessionObject::finish_close(Napi::Env env) {
  if (closed_) return;
  closed_ = true;
  last_stats_ = Napi::Persistent(stats_to_js(env, *session_));
  napi_remove_env_cleanup_hook(env, on_environment_end, this);
  session_.reset();
  wake_->release();
  Unref();
}

void SessionObject::on_environment_end(void* self) {
  static_cast<SessionObject*>(self)->session_->stop();
}

}  // namespace driftless::addon
