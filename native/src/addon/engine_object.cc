#include "addon/engine_object.h"

#include <exception>
#include <string>

#include "addon/arguments.h"
#include "addon/background_stop.h"
#include "addon/instance_data.h"
#include "core/error.h"
#include "media/gpu_codecs.h"
#include "ops/ops.h"

namespace driftless::addon {

namespace {

/// The GPU of a backend, its first one of several; 0 where it computes on none.
int first_gpu(const std::string& backend) {
  const std::string first = split_backends(backend).front();
  return first.rfind("cuda:", 0) == 0 ? std::stoi(first.substr(5)) : 0;
}

/// Where the networks that find people run: on the camera's pixels, where those lie.
std::string matte_backend(const std::string& backend, const Pipeline* pipeline) {
  if (backend == "reference") return backend;
  const bool on_gpu = pipeline != nullptr && pipeline->video() != nullptr;
  return on_gpu ? "cuda:" + std::to_string(first_gpu(backend)) : "cpu";
}

}  // namespace

Napi::Function EngineObject::define(Napi::Env env) {
  return DefineClass(
      env, "NativeEngine",
      {
          InstanceMethod<&EngineObject::info>("info", napi_default_method),
          InstanceMethod<&EngineObject::create_session>("createSession", napi_default_method),
          InstanceMethod<&EngineObject::close>("close", napi_default_method),
      });
}

EngineObject::EngineObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineObject>(info) {
  const Napi::Env env = info.Env();
  const EngineArguments arguments = read_engine_arguments(info[0]);
  backend_ = arguments.model.backend;
  try {
    std::unique_ptr<Pipeline> pipeline;
    if (!arguments.model.dir.empty()) pipeline = Pipeline::load(arguments.model);
    std::shared_ptr<const MatteModels> mattes;
    if (!arguments.segmenter_dir.empty()) {
      mattes = load_matte_models(arguments.segmenter_dir, matte_backend(backend_, pipeline.get()));
    }
    const int first = first_gpu(backend_);
    const GpuCodecs gpu{arguments.nvenc ? first : -1, arguments.nvdec ? first : -1};
    h264_encoder_ = describe_encoder(gpu.encoder);
    video_decoder_ = describe_decoder(gpu.decoder);
    engine_ = std::make_shared<MediaEngine>(std::move(pipeline), arguments.max_sessions,
                                            std::move(mattes), gpu);
  } catch (const std::exception& error) {
    throw Napi::Error::New(env, error.what());
  }
  napi_add_env_cleanup_hook(env, on_environment_end, this);
}

EngineObject::~EngineObject() {
  engine_->stop();
  napi_remove_env_cleanup_hook(Env(), on_environment_end, this);
}

void EngineObject::on_environment_end(void* self) {
  static_cast<EngineObject*>(self)->engine_->stop();
}

Napi::Value EngineObject::info(const Napi::CallbackInfo& call) {
  const ModelInfo& model = engine_->info();
  Napi::Object object = Napi::Object::New(call.Env());
  object.Set("model", model.name);
  object.Set("width", model.width);
  object.Set("height", model.height);
  Napi::Array sizes = Napi::Array::New(call.Env());
  for (const ModelInfo::Size& each : model.sizes) {
    Napi::Object size = Napi::Object::New(call.Env());
    size.Set("width", each.full.width);
    size.Set("height", each.full.height);
    sizes.Set(sizes.Length(), size);
  }
  object.Set("sizes", sizes);
  object.Set("fps", model.fps);
  object.Set("framesPerChunk", model.frames_per_chunk);
  object.Set("backend", backend_);
  object.Set("background", engine_->has_mattes());
  object.Set("h264Encoder", h264_encoder_);
  object.Set("videoDecoder", video_decoder_);
  const MemoryPlan& plan = model.memory;
  Napi::Object memory = Napi::Object::New(call.Env());
  const auto set = [&](const char* key, size_t bytes) {
    memory.Set(key, static_cast<double>(bytes));
  };
  set("limitBytes", plan.limit);
  set("modelBytes", plan.total(0, 0));
  set("sessionBytes", plan.total(1, 2) - plan.total(0, 0));
  object.Set("memory", memory);
  return object;
}

Napi::Value EngineObject::create_session(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto shared = Napi::External<std::shared_ptr<MediaEngine>>::New(env, &engine_);
  return env.GetInstanceData<InstanceData>()->session_class.New(
      {shared, info[0], info[1], info[2]});
}

Napi::Value EngineObject::close(const Napi::CallbackInfo& info) {
  return BackgroundStop::run(
      info.Env(), [engine = engine_] { engine->stop(); }, [](Napi::Env) {});
}

}  // namespace driftless::addon
