#include "addon/arguments.h"

#include <charconv>
#include <cmath>
#include <initializer_list>
#include <sstream>

#include "core/error.h"
#include "ops/ops.h"

namespace driftless::addon {
namespace {

constexpr size_t kMaxPromptBytes = 2000;  // 500 characters of up to four bytes
constexpr size_t kMaxIdBytes = 200;
constexpr size_t kMaxPathBytes = 4096;

const char* type_name(const Napi::Value& value) {
  if (value.IsUndefined()) return "undefined";
  if (value.IsNull()) return "null";
  if (value.IsBoolean()) return "boolean";
  if (value.IsNumber()) return "number";
  if (value.IsString()) return "string";
  if (value.IsFunction()) return "function";
  if (value.IsArray()) return "array";
  if (value.IsTypedArray()) return "typed array";
  return "object";
}

std::string describe(const Napi::Value& value) {
  std::string text;
  if (value.IsNumber() || value.IsString() || value.IsBoolean()) {
    text = value.ToString().Utf8Value();
    if (text.size() > 60) text = std::to_string(text.size()) + " bytes of text";
    text += " of type ";
  }
  return text + type_name(value);
}

std::string message(const std::string& expected, const std::string& name,
                    const Napi::Value& value) {
  return "Expected " + expected + " for " + name + " but received " + describe(value);
}

Napi::Error type_error(const std::string& expected, const std::string& name,
                       const Napi::Value& value) {
  return Napi::TypeError::New(value.Env(), message(expected, name, value));
}

Napi::Error range_error(const std::string& expected, const std::string& name,
                        const Napi::Value& value) {
  return Napi::RangeError::New(value.Env(), message(expected, name, value));
}

Napi::Object read_object(const Napi::Value& value, const std::string& name) {
  if (!value.IsObject() || value.IsFunction() || value.IsArray() || value.IsTypedArray()) {
    throw type_error("an object", name, value);
  }
  return value.As<Napi::Object>();
}

std::string read_string(const Napi::Value& value, const std::string& name, size_t max_bytes) {
  if (!value.IsString()) throw type_error("a string", name, value);
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.size() > max_bytes) {
    throw range_error("a string of at most " + std::to_string(max_bytes) + " bytes", name, value);
  }
  return text;
}

std::string read_choice(const Napi::Value& value, const std::string& name,
                        std::initializer_list<const char*> choices) {
  std::string expected = "one of";
  for (const char* choice : choices) {
    if (value.IsString() && value.As<Napi::String>().Utf8Value() == choice) return choice;
    expected += std::string(" \"") + choice + "\"";
  }
  throw value.IsString() ? range_error(expected, name, value) : type_error(expected, name, value);
}

VideoCodec read_codec(const Napi::Value& value, const std::string& name) {
  return *parse_codec(read_choice(value, name, {"vp8", "h264"}));
}

/// Cameras also send what the engine decodes but does not encode.
VideoCodec read_input_codec(const Napi::Value& value, const std::string& name) {
  return *parse_codec(read_choice(value, name, {"vp8", "h264", "vp9", "av1"}));
}

}  // namespace

double read_number(const Napi::Value& value, const std::string& name, double min, double max) {
  std::ostringstream range;
  range.precision(15);
  range << "a number from " << min << " to " << max;
  const std::string expected = range.str();
  if (!value.IsNumber()) throw type_error(expected, name, value);
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= min && number <= max)) throw range_error(expected, name, value);
  return number;
}

int64_t read_integer(const Napi::Value& value, const std::string& name, int64_t min, int64_t max) {
  const double number =
      read_number(value, name, static_cast<double>(min), static_cast<double>(max));
  if (number != std::floor(number)) throw range_error("a whole number", name, value);
  return static_cast<int64_t>(number);
}

Napi::Uint8Array read_bytes(const Napi::Value& value, const std::string& name, size_t max_bytes) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw type_error("a Uint8Array", name, value);
  }
  const auto bytes = value.As<Napi::Uint8Array>();
  if (bytes.ByteLength() > max_bytes) {
    throw Napi::RangeError::New(value.Env(), "Expected at most " + std::to_string(max_bytes) +
                                                 " bytes for " + name + " but received " +
                                                 std::to_string(bytes.ByteLength()));
  }
  return bytes;
}

Napi::Function read_function(const Napi::Value& value, const std::string& name) {
  if (!value.IsFunction()) throw type_error("a function", name, value);
  return value.As<Napi::Function>();
}

EngineArguments read_engine_arguments(const Napi::Value& value) {
  const Napi::Object object = read_object(value, "options");
  EngineArguments arguments;
  arguments.model.dir = read_string(object.Get("modelDir"), "options.modelDir", kMaxPathBytes);
  const Napi::Value segmenters = object.Get("segmenterDir");
  if (!segmenters.IsUndefined()) {
    arguments.segmenter_dir = read_string(segmenters, "options.segmenterDir", kMaxPathBytes);
  }
  try {
    const std::string asked = read_string(object.Get("backend"), "options.backend", 256);
    std::string chosen;
    for (const std::string& name : split_backends(asked)) {
      chosen += (chosen.empty() ? "" : ",") + choose_backend(name);
    }
    arguments.model.backend = chosen;
  } catch (const Error& error) {
    throw Napi::TypeError::New(object.Env(), error.what());
  }
  const Napi::Value dtype = object.Get("dtype");
  if (!dtype.IsUndefined()) {
    arguments.model.dtype =
        read_choice(dtype, "options.dtype", {"auto", "f32", "bf16", "f16", "fp8", "fp8-kv"});
  }
  const Napi::Value encoder = object.Get("promptEncoder");
  if (!encoder.IsUndefined()) {
    arguments.model.keep_prompt_encoder =
        read_choice(encoder, "options.promptEncoder", {"release", "keep"}) == "keep";
  }
  const Napi::Value video = object.Get("videoEncoder");
  if (!video.IsUndefined()) {
    arguments.nvenc = read_choice(video, "options.videoEncoder", {"software", "nvenc"}) == "nvenc";
  }
  const Napi::Value decoder = object.Get("videoDecoder");
  if (!decoder.IsUndefined()) {
    arguments.nvdec =
        read_choice(decoder, "options.videoDecoder", {"software", "nvdec"}) == "nvdec";
  }
  const Napi::Value limit = object.Get("memoryLimitMb");
  if (!limit.IsUndefined()) {
    arguments.model.memory_limit_bytes =
        static_cast<size_t>(read_integer(limit, "options.memoryLimitMb", 0, 1 << 24)) << 20;
  }
  arguments.model.threads =
      static_cast<int>(read_integer(object.Get("computeThreads"), "options.computeThreads", 1, 64));
  arguments.max_sessions =
      static_cast<size_t>(read_integer(object.Get("maxSessions"), "options.maxSessions", 1, 1024));
  return arguments;
}

namespace {

bool read_boolean(const Napi::Value& value, const std::string& name) {
  if (!value.IsBoolean()) throw type_error("a boolean", name, value);
  return value.As<Napi::Boolean>().Value();
}

/// "#rrggbb".
FlatColour read_colour(const Napi::Value& value, const std::string& name) {
  const std::string text = read_string(value, name, kMaxIdBytes);
  uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const bool whole = text.size() == 7 && text[0] == '#' &&
                     std::from_chars(text.data() + 1, end, number, 16).ptr == end;
  if (!whole) throw range_error("a colour such as #5b6b7b", name, value);
  return {static_cast<uint8_t>(number >> 16), static_cast<uint8_t>(number >> 8 & 0xff),
          static_cast<uint8_t>(number & 0xff)};
}

/// All keys may be absent.
BackgroundChoice read_background(const Napi::Object& object, const std::string& name) {
  BackgroundChoice choice;
  const Napi::Value scene = object.Get("scene"), blur = object.Get("blur"),
                    colour = object.Get("color");
  if (!scene.IsUndefined()) {
    choice.scene = parse_scene(read_string(scene, name + ".scene", kMaxIdBytes));
    if (!choice.scene) {
      std::string names = "one of";
      for (int kind = 0; kind < kSceneKinds; ++kind) {
        names += std::string(" ") + scene_name(static_cast<SceneKind>(kind));
      }
      throw range_error(names, name + ".scene", scene);
    }
  }
  if (!blur.IsUndefined()) choice.blur = read_boolean(blur, name + ".blur");
  if (!colour.IsUndefined()) choice.colour = read_colour(colour, name + ".color");
  return choice;
}

}  // namespace

Transform read_transform(const Napi::Value& value, const std::string& name) {
  const Napi::Object object = read_object(value, name);
  Transform transform;
  const std::string mode =
      read_choice(object.Get("mode"), name + ".mode", {"restyle", "background", "passthrough"});
  transform.mode = mode == "restyle"      ? TransformMode::kRestyle
                   : mode == "background" ? TransformMode::kBackground
                                          : TransformMode::kPassthrough;
  transform.background = read_background(object, name);
  const Napi::Value hide_room = object.Get("hideRoom"), on_overload = object.Get("onOverload");
  if (!hide_room.IsUndefined()) transform.hide_room = read_boolean(hide_room, name + ".hideRoom");
  if (transform.hide_room && transform.mode == TransformMode::kPassthrough) {
    throw range_error("false, because passthrough shows the room,", name + ".hideRoom", hide_room);
  }
  if (!on_overload.IsUndefined()) {
    const std::string chosen = read_choice(on_overload, name + ".onOverload", {"hold", "blur"});
    if (chosen == "blur") transform.on_overload = OverloadPicture::kBlur;
  }
  TransformSettings& settings = transform.settings;
  settings.prompt = read_string(object.Get("prompt"), name + ".prompt", kMaxPromptBytes);
  settings.strength = static_cast<float>(
      read_number(object.Get("strength"), name + ".strength", 0, TransformSettings::kMostStrength));
  settings.steps = static_cast<int>(read_integer(object.Get("steps"), name + ".steps", 1, 4));
  settings.seed = static_cast<uint64_t>(
      read_integer(object.Get("seed"), name + ".seed", 0, int64_t{0xffffffff}));
  return transform;
}

SessionOptions read_session_options(const Napi::Value& value) {
  const Napi::Object object = read_object(value, "options");
  SessionOptions options;
  options.id = read_string(object.Get("id"), "options.id", kMaxIdBytes);
  options.input_codec = read_input_codec(object.Get("inputCodec"), "options.inputCodec");
  options.output_codec = read_codec(object.Get("outputCodec"), "options.outputCodec");
  options.bitrate_bps =
      read_integer(object.Get("bitrateBps"), "options.bitrateBps", 10'000, 100'000'000);
  const Napi::Value low_layer = object.Get("lowLayerBitrateBps");
  if (!low_layer.IsUndefined()) {
    options.low_layer_bitrate_bps =
        read_integer(low_layer, "options.lowLayerBitrateBps", 0, 100'000'000);
  }
  options.max_fps = read_number(object.Get("maxFps"), "options.maxFps", 0, 240);
  options.delay_budget_ms =
      read_number(object.Get("delayBudgetMs"), "options.delayBudgetMs", 1, 60'000);
  options.transform = read_transform(object.Get("transform"), "options.transform");
  return options;
}

}  // namespace driftless::addon
