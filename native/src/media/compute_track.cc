#include "media/compute_track.h"

#include <exception>
#include <utility>

#include "core/error.h"

namespace driftless {

namespace {

SessionEvent error_event(const std::string& message, bool fatal) {
  SessionEvent event;
  event.type = SessionEvent::Type::kError;
  event.text = message;
  event.fatal = fatal;
  return event;
}

}  // namespace

void ComputeLoop::Track::fail(const std::exception_ptr& error, size_t lost_frames) {
  ++counters.compute_errors;
  counters.drop_compute_error += lost_frames;
  const auto tell = [this](const std::string& message) {
    const bool fatal = ++failures_in_a_row == ComputeLoop::kMaxFailuresInARow;
    if (failures_in_a_row <= ComputeLoop::kMaxFailuresInARow) {
      listener.on_compute_event(error_event(message, fatal));
    }
  };
  try {
    std::rethrow_exception(error);
  } catch (const DeviceLost& lost) {
    tell(lost.what());
    listener.on_compute_event(device_lost_event(lost.what()));
  } catch (const std::exception& other) {
    tell(other.what());
  }
}

void ComputeLoop::Track::deliver(GeneratedChunk chunk, double start_ms, double now_ms) {
  failures_in_a_row = 0;
  chunk.ready_ms = now_ms;
  chunk.compute_ms = now_ms - start_ms;
  listener.on_generated(std::move(chunk));
}

void ComputeLoop::Track::note_guards(const ChunkResult& result) {
  const auto grown = [](uint64_t now, uint64_t before) {
    return now < before ? now : now - before;
  };
  counters.guard_latents += grown(result.guard.corrected, latents_guard.corrected);
  counters.guard_renewals += grown(result.guard.renewals, latents_guard.renewals);
  counters.guard_pictures += grown(result.picture_guard.corrected, pictures_guard.corrected);
  latents_guard = result.guard;
  pictures_guard = result.picture_guard;
}

void ComputeLoop::Track::apply_change() {
  const Level& applied = applied_level;
  if (!change && level.steps == applied.steps && level.area == applied.area) return;
  const bool new_settings = change.has_value();
  Transform wanted = new_settings ? std::move(change->first) : asked;
  const uint64_t revision = new_settings ? change->second : asked_revision;
  change.reset();
  const TransformSettings settings = wanted.settings;
  if (turn) {
    wanted.settings.steps = level.steps;
    wanted.settings.smaller_picture = settings.smaller_picture || level.area < 1;
  }
  try {
    counters.drop_stream_batch += model.apply(wanted, revision);
  } catch (const DeviceLost&) {
    return fail(std::current_exception(), 0);
  } catch (const std::exception& error) {
    refused = true;
    ++counters.compute_errors;
    listener.on_compute_event(error_event(error.what(), false));
    return;
  }
  applied_level = level;
  wanted.settings = settings;
  asked = std::move(wanted);
  asked_revision = revision;
}

}  // namespace driftless
