// The addon's export table.

#include <napi.h>

#include <memory>

#include "addon/engine_object.h"
#include "addon/instance_data.h"
#include "addon/session_object.h"

namespace driftless::addon {
namespace {

Napi::Value create_engine(const Napi::CallbackInfo& info) {
  return info.Env().GetInstanceData<InstanceData>()->engine_class.New({info[0]});
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto data = std::make_unique<InstanceData>();
  data->engine_class = Napi::Persistent(EngineObject::define(env));
  data->session_class = Napi::Persistent(SessionObject::define(env));
  env.SetInstanceData(data.release());
  exports.Set("createEngine", Napi::Function::New(env, create_engine, "createEngine"));
  return exports;
}

}  // namespace
}  // namespace driftless::addon

static Napi::Object driftless_init(Napi::Env env, Napi::Object exports) {
  return driftless::addon::init(env, exports);
}

NODE_API_MODULE(driftless, driftless_init)
