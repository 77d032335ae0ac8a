#include "stream/session.h"

#include <algorithm>

#include "core/error.h"
#include "models/model.h"

namespace driftless {

namespace {

NoiseControllerConfig controller_config(const ModelConfig& config) {
  NoiseControllerConfig controller;
  controller.noise_scale = config.schedule.noise_scale;
  controller.motion_range = config.schedule.motion_range;
  controller.timestep_offset = config.schedule.timestep_offset;
  return controller;
}

size_t frame_bytes(const PictureSize& size) { return static_cast<size_t>(size.rgb(1).count()); }

// Of one chunk.
Shape motion_shape(const ModelConfig& config, const PictureSize& size) {
  return Steadier::motion_shape(config.frames_per_chunk, size.width, size.height);
}

// What does not depend on the picture's size.
size_t lasting_bytes(const SessionBytes& bytes, const ModelConfig& config) {
  return PromptBlend::bytes(config.dit) + bytes.picture;
}

}  // namespace

SessionBytes Session::bytes(const ModelConfig& config, const StreamRows& rows) {
  SessionBytes most;
  for (const PictureSize& size : config.sizes()) {
    const SessionBytes bytes = Session::bytes(config, size, rows);
    if (bytes.sum() > most.sum()) most = bytes;
  }
  return most;
}

SessionBytes Session::bytes(const ModelConfig& config, const PictureSize& size,
                            const StreamRows& rows) {
  SessionBytes bytes;
  PictureMemory::count(config, size, size, rows, bytes);
  bytes.prompt = PromptBlend::bytes(config.dit);
  if (config.schedule.blend_chunks > 1) {
    bytes.prompt += rows.chunks() * PromptKv::bytes(config.dit);
  }
  bytes.picture = Arena::rounded(frame_bytes(size));
  if (config.schedule.hold_still > 0) {
    bytes.picture +=
        Steadier::bytes(size.width, size.height) +
        rows.chunks() * Arena::rounded(static_cast<size_t>(motion_shape(config, size).count()));
  }
  return bytes;
}

Session::Session(Model& model, std::shared_ptr<const void> owner, const StreamRows& rows,
                 std::shared_ptr<const ActiveSettings> settings, const PictureSize& size)
    : model_(model),
      config_(model.config()),
      owner_(std::move(owner)),
      settings_(std::move(settings)),
      memory_for_(rows),
      full_(size),
      ops_(model.ops()),
      memory_(lasting_bytes(bytes(config_, size, rows), config_), 0, ops_.memory()),
      controller_(controller_config(config_)),
      last_frame_(memory_.tensor({size.height, size.width, 3}, DType::u8)),
      differences_(static_cast<size_t>(config_.frames_per_chunk)),
      blend_(memory_, ops_, config_.dit),
      chunks_(rows.chunks()),
      row_next_(rows.steps) {
  if (config_.schedule.blend_chunks > 1) {
    for (ChunkInFlight& chunk : chunks_) {
      chunk.blend = std::make_unique<PromptKv>(model.dit().places(), config_.dit);
    }
  }
  if (config_.schedule.hold_still > 0) {
    steadier_.emplace(ops_, memory_, size.width, size.height, config_.schedule.hold_still);
    for (ChunkInFlight& chunk : chunks_) {
      chunk.motion = memory_.tensor(motion_shape(config_, size), DType::u8);
    }
  }
  blend_.stand(settings_->prompt->text);
  take_picture();
}

PictureSize Session::asked_size() const {
  const auto smaller = smaller_picture(config_, full_);
  return settings_->asked.smaller_picture && smaller ? *smaller : full_;
}

bool Session::picture_due() const { return !(picture_->size() == asked_size()); }

size_t Session::arena_bytes() const {
  size_t bytes = memory_.capacity() + picture_->bytes();
  for (const ChunkInFlight& chunk : chunks_) bytes += chunk.blend ? chunk.blend->bytes() : 0;
  return bytes;
}

bool Session::wants_rest() const {
  if (next_index_ == 0) return false;
  return picture_due() || rows_ != static_cast<size_t>(settings_->asked.steps) ||
         (blend_.moving() && picture_->history());
}

void Session::take_picture() {
  picture_.reset();  // before the other one is taken: there is room for one
  picture_ = std::make_unique<PictureMemory>(config_, model_.codec(), ops_, model_.dit().places(),
                                             full_, asked_size(), memory_for_);
  const auto give_latents = [this](ChunkInFlight& chunk, const PictureMemory::Latents& latents) {
    chunk.present = chunk.under_way = false;
    chunk.latents = latents;
  };
  for (size_t i = 0; i < chunks_.size(); ++i) give_latents(chunks_[i], picture_->latents(i));
  give_latents(recache_, picture_->recache_latents());
  rows_ = 0;
  fit_rows();
}

bool Session::fit_picture() {
  take_picture();
  if (next_index_ == 0) return false;
  begin_at_row_0(newest());
  std::fill(row_next_.begin(), row_next_.end(), next_index_);
  return true;
}

// Gives a chunk what the newest frames and settings ask for.
void Session::begin_at_row_0(ChunkInFlight& chunk) {
  chunk.noise_scale = static_cast<float>(controller_.last().noise_scale);
  chunk.timestep = controller_.last().timestep;
  chunk.settings = settings_;
  const Tensor& noise = picture_->noise(settings_->asked.seed);
  if (noise.present()) ops_.copy(noise, chunk.latents.noise);
}

void Session::set_settings(std::shared_ptr<const ActiveSettings> settings) {
  const auto before = std::exchange(settings_, std::move(settings));
  if (settings_->prompt == before->prompt) return;
  if (next_index_ == 0) {
    blend_.stand(settings_->prompt->text);
  } else {
    blend_.aim(settings_->prompt->text, config_.schedule.blend_chunks);
  }
}

void Session::fit_rows() {
  const size_t steps = static_cast<size_t>(settings_->asked.steps);
  DL_CHECK(steps <= memory_for_.steps, "steps of this session",
           "at most " + std::to_string(memory_for_.steps), steps);
  for (ChunkInFlight& chunk : chunks_) {
    if (chunk.step < steps) continue;
    chunk.present = false;
    chunk.settings.reset();
  }
  for (; rows_ < steps; ++rows_) {
    if (rows_ == 0) continue;
    cache(rows_).copy_from(cache(rows_ - 1));
    row_next_[rows_] = row_next_[rows_ - 1];
  }
  rows_ = steps;
}

// What a jam has left waiting would stay for ever, because every batch takes one chunk and brings
// one. Only the newest is worth its place.
void Session::clear_jam() {
  const auto under_way = [](const ChunkInFlight& chunk) { return chunk.under_way; };
  if (std::any_of(chunks_.begin(), chunks_.end(), under_way)) return;
  for (ChunkInFlight& chunk : chunks_) {
    chunk.present =
        chunk.present && std::none_of(chunks_.begin(), chunks_.end(), [&](const auto& other) {
          return other.present && other.step == chunk.step && other.index > chunk.index;
        });
  }
}

ChunkInFlight& Session::begin(const Tensor& rgb) {
  clear_jam();
  fit_rows();
  renew_sinks();
  const Tensor before = next_index_ == 0 ? Tensor() : last_frame_;
  ops_.frame_differences(before, rgb, differences_.data());
  controller_.next(differences_, frame_bytes(full_));

  const auto free = std::find_if(chunks_.begin(), chunks_.end(),
                                 [](const ChunkInFlight& chunk) { return !chunk.present; });
  DL_CHECK(free != chunks_.end(), "chunks of a session in flight",
           "at most " + std::to_string(chunks_.size()), "one more");
  newest_ = static_cast<size_t>(free - chunks_.begin());
  ChunkInFlight& chunk = *free;
  chunk.present = true;
  chunk.step = 0;
  if (steadier_) ops_.measure_motion(before, rgb, chunk.motion);
  if (picture_guard) picture_guard->look(rgb, chunk.look);
  ops_.copy(rgb.at(config_.frames_per_chunk - 1), last_frame_);
  chunk.index = next_index_++;
  begin_at_row_0(chunk);
  const bool arriving = blend_.moving();
  blend_.step();
  chunk.blended = blend_.moving();
  recache_due_ = history() != nullptr && arriving && !chunk.blended;
  return chunk;
}

ChunkInFlight* Session::take_step(size_t step) {
  ChunkInFlight* oldest = nullptr;
  for (ChunkInFlight& chunk : chunks_) {
    const bool waits = chunk.present && !chunk.under_way && chunk.step == step;
    if (waits && (oldest == nullptr || chunk.index < oldest->index)) oldest = &chunk;
  }
  if (oldest == nullptr) return nullptr;
  oldest->under_way = true;
  row_next_[step] = oldest->index + 1;
  return oldest;
}

size_t Session::rows_past(uint64_t index) const {
  size_t rows = 0;
  while (rows < rows_ && row_next_[rows] > index) ++rows;
  return rows;
}

void Session::guard(const ChunkInFlight& chunk, const Tensor& x0) {
  if (!drift_guard) return;
  if (guarded_ != chunk.settings) {
    const bool first = guarded_ == nullptr;
    const TransformSettings& now = chunk.settings->asked;
    const TransformSettings& before = first ? now : guarded_->asked;
    const bool other_look =
        now.prompt != before.prompt || now.seed != before.seed || now.steps != before.steps;
    if (other_look) drift_guard->guard().restart();
    // Strength comes after the latents' guard.
    if (other_look || now.strength != before.strength) picture_guard->restart();
    guarded_ = chunk.settings;
  }
  drift_guard->apply(chunk.latents.clean, x0);
}

void Session::guard_pictures(const ChunkInFlight& chunk, const Tensor& pictures) {
  if (picture_guard) picture_guard->apply(chunk.look, pictures);
}

void Session::steady(const ChunkInFlight& chunk, const Tensor& pictures) {
  if (!steadier_) return;
  // What another look changes, or is about to change, is no flicker.
  const bool another_look =
      chunk.blended || std::exchange(steadied_, chunk.settings) != chunk.settings;
  steadier_->apply(pictures, chunk.motion, another_look);
}

// One sink of every row, when the guard's corrections have gone on for long.
void Session::renew_sinks() {
  const int sinks = config_.schedule.sink_frames;
  if (!drift_guard || !drift_guard->guard().take_renewal() || sinks == 0) return;
  const auto turn = drift_guard->guard().counters().renewals % static_cast<uint64_t>(sinks);
  for (size_t row = 0; row < rows_; ++row) cache(row).renew_sink(static_cast<int>(turn));
}

}  // namespace driftless
