#include "addon/conversions.h"

namespace driftless::addon {
namespace {

void set(Napi::Object object, const char* key, double value) {
  object.Set(key, Napi::Number::New(object.Env(), value));
}

void set(Napi::Object object, const char* key, const SessionCounters::Count& count) {
  set(object, key, static_cast<double>(count.load(std::memory_order_relaxed)));
}

void set(Napi::Object object, const char* key, const StageTimer& timer) {
  Napi::Object timing = Napi::Object::New(object.Env());
  set(timing, "lastMs", timer.last_ms());
  set(timing, "meanMs", timer.mean_ms());
  object.Set(key, timing);
}

const char* name_of(LevelKind kind) {
  switch (kind) {
    case LevelKind::kFull:
      return "full";
    case LevelKind::kFewerSteps:
      return "fewerSteps";
    case LevelKind::kLowerRate:
      return "lowerRate";
    case LevelKind::kSmallerPicture:
      return "smallerPicture";
    case LevelKind::kFallback:
      return "fallback";
  }
  return "";
}

const char* name_of(LevelCause cause) {
  switch (cause) {
    case LevelCause::kOverload:
      return "overload";
    case LevelCause::kSlowDevice:
      return "slowDevice";
    case LevelCause::kHeadroom:
      return "headroom";
    case LevelCause::kSettings:
      return "settings";
  }
  return "";
}

}  // namespace

namespace {

Napi::Object to_js(Napi::Env env, const EncodedPicture& picture) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("data", Napi::Buffer<uint8_t>::Copy(env, picture.data.data(), picture.data.size()));
  object.Set("keyFrame", Napi::Boolean::New(env, picture.key_frame));
  set(object, "width", picture.width);
  set(object, "height", picture.height);
  return object;
}

}  // namespace

Napi::Object to_js(Napi::Env env, const OutgoingFrame& frame) {
  Napi::Object object = to_js(env, frame.picture);
  set(object, "captureTimeMs", frame.picture.capture_time_ms);
  if (frame.low) object.Set("low", to_js(env, *frame.low));
  Napi::Object timing = Napi::Object::New(env);
  set(timing, "queuedMs", frame.timing.queued_ms);
  set(timing, "decodeMs", frame.timing.decode_ms);
  set(timing, "computeMs", frame.timing.compute_ms);
  set(timing, "encodeMs", frame.timing.encode_ms);
  object.Set("timing", timing);
  return object;
}

Napi::Object to_js(Napi::Env env, const SessionEvent& event) {
  Napi::Object object = Napi::Object::New(env);
  switch (event.type) {
    case SessionEvent::Type::kNeedKeyFrame:
      object.Set("type", "needKeyFrame");
      object.Set("reason", event.text);
      break;
    case SessionEvent::Type::kApplied:
      object.Set("type", "applied");
      set(object, "revision", static_cast<double>(event.revision));
      set(object, "captureTimeMs", event.capture_ms);
      object.Set("complete", Napi::Boolean::New(env, event.complete));
      break;
    case SessionEvent::Type::kInputSize:
      object.Set("type", "inputSize");
      set(object, "width", event.width);
      set(object, "height", event.height);
      set(object, "paintedWidth", event.painted.width);
      set(object, "paintedHeight", event.painted.height);
      set(object, "outputWidth", event.output.width);
      set(object, "outputHeight", event.output.height);
      break;
    case SessionEvent::Type::kLevel:
      object.Set("type", "level");
      object.Set("level", name_of(event.level.to.kind));
      object.Set("direction", event.level.down ? "down" : "up");
      object.Set("cause", name_of(event.level.cause));
      set(object, "steps", event.level.to.steps);
      set(object, "rate", event.level.to.rate);
      break;
    case SessionEvent::Type::kError:
      object.Set("type", "error");
      object.Set("message", event.text);
      object.Set("fatal", Napi::Boolean::New(env, event.fatal));
      break;
    case SessionEvent::Type::kDeviceLost:
      object.Set("type", "deviceLost");
      object.Set("message", event.text);
      break;
  }
  return object;
}

Napi::Object stats_to_js(Napi::Env env, const MediaSession& session) {
  const SessionCounters& counters = session.counters();
  Napi::Object stats = Napi::Object::New(env);
  set(stats, "framesIn", counters.frames_in);
  set(stats, "bytesIn", counters.bytes_in);
  set(stats, "framesDecoded", counters.frames_decoded);
  set(stats, "framesSampled", counters.frames_sampled);
  set(stats, "chunks", counters.chunks);
  set(stats, "framesOut", counters.frames_out);
  set(stats, "framesBlurred", counters.frames_blurred);
  set(stats, "keyFramesOut", counters.key_frames_out);
  set(stats, "bytesOut", counters.bytes_out);
  set(stats, "decodeErrors", counters.decode_errors);
  set(stats, "computeErrors", counters.compute_errors);
  set(stats, "encodeErrors", counters.encode_errors);
  set(stats, "encoderRefusals", counters.encoder_refusals);
  set(stats, "decoderRefusals", counters.decoder_refusals);
  set(stats, "lastComputeMs", counters.compute.last_ms());

  Napi::Object deadlines = Napi::Object::New(env);
  set(deadlines, "inTime", counters.chunks_in_time);
  set(deadlines, "waited", counters.chunks_waited);
  set(deadlines, "slow", counters.chunks_slow);
  set(deadlines, "replaced", counters.chunks_replaced);
  stats.Set("deadlines", deadlines);

  Napi::Object drift = Napi::Object::New(env);
  set(drift, "latents", counters.guard_latents);
  set(drift, "pictures", counters.guard_pictures);
  set(drift, "renewals", counters.guard_renewals);
  stats.Set("driftCorrections", drift);

  Napi::Object drops = Napi::Object::New(env);
  set(drops, "inputFull", counters.drop_input_full);
  set(drops, "noKeyFrame", counters.drop_no_key_frame);
  set(drops, "badSize", counters.drop_bad_size);
  set(drops, "aboveRate", counters.drop_above_rate);
  set(drops, "chunkReplaced", counters.drop_chunk_replaced);
  set(drops, "fallback", counters.drop_fallback);
  set(drops, "streamBatch", counters.drop_stream_batch);
  set(drops, "computeError", counters.drop_compute_error);
  set(drops, "generatedFull", counters.drop_generated_full);
  set(drops, "encodeError", counters.drop_encode_error);
  set(drops, "callbackFull", counters.drop_callback_full);
  set(drops, "awaitKeyFrame", counters.drop_await_key_frame);
  set(drops, "events", counters.drop_events);
  stats.Set("drops", drops);

  const SessionQueues queues = session.queues();
  Napi::Object depths = Napi::Object::New(env);
  set(depths, "input", static_cast<double>(queues.input));
  set(depths, "compute", static_cast<double>(queues.compute));
  set(depths, "generated", static_cast<double>(queues.generated));
  set(depths, "callbacks", static_cast<double>(queues.callbacks));
  set(depths, "events", static_cast<double>(queues.events));
  stats.Set("queueDepths", depths);

  Napi::Object timings = Napi::Object::New(env);
  set(timings, "decode", counters.decode);
  set(timings, "queued", counters.queue);
  set(timings, "compute", counters.compute);
  set(timings, "batch", counters.batch);
  set(timings, "expected", counters.expected);
  set(timings, "encode", counters.encode);
  set(timings, "total", counters.total);
  stats.Set("timings", timings);
  return stats;
}

}  // namespace driftless::addon
