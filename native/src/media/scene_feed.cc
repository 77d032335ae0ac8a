#include "media/scene_feed.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "media/ffmpeg_support.h"

namespace driftless {
namespace {

constexpr double kStepMs = 1000 / SceneFeed::kFps;

}  // namespace

SceneFeed::SceneFeed(const ModelInfo& model, SceneInbox& inbox) : model_(model), inbox_(inbox) {
  fit(model.size());
}

void SceneFeed::fit(const PictureSize& camera) {
  const PictureSize size = model_.size_for(camera);
  if (size == size_) return;
  size_ = size;
  converter_.emplace(size.width, size.height);
  rgb_.resize(static_cast<size_t>(size.rgb(1).count()));
  picture_ = make_yuv_frame(size.width, size.height);
  drawn_ = painted_ = Strip();
  started_ = false;
  painted_share_ = 0;
  last_painted_ms_ = -1e12;
  begin_anew();
}

void SceneFeed::set(SceneKind kind, uint64_t seed, bool repaint, uint64_t revision) {
  kind_ = kind;
  seed_ = seed;
  repaint_ = repaint;
  revision_ = revision;
  begin_anew();
  if (!repaint) last_painted_ms_ = -1e12;
}

void SceneFeed::begin_anew() {
  renderer_ = std::make_unique<SceneRenderer>(kind_, seed_, size_.width, size_.height);
  waiting_.clear();
  chunk_ = Chunk();
  next_ms_ = 0;  // drawn at once
}

SceneFeed::Planes SceneFeed::to_planes(const uint8_t* rgb) {
  const AVFrame& frame = converter_->to_yuv(rgb);
  Planes planes;
  planes.reserve(static_cast<size_t>(size_.width) * size_.height * 3 / 2 + 4);
  for (int plane = 0; plane < 3; ++plane) {
    const int width = plane == 0 ? size_.width : (size_.width + 1) / 2;
    const int height = plane == 0 ? size_.height : (size_.height + 1) / 2;
    for (int y = 0; y < height; ++y) {
      const uint8_t* line = frame.data[plane] + static_cast<ptrdiff_t>(y) * frame.linesize[plane];
      planes.insert(planes.end(), line, line + width);
    }
  }
  return planes;
}

std::optional<Chunk> SceneFeed::advance(double now_ms) {
  const bool jumped_back = next_ms_ - now_ms > 2 * kStepMs;
  if (started_ && now_ms < next_ms_ && !jumped_back) return std::nullopt;
  // After a gap the scene goes on where it was: nobody saw it move meanwhile.
  next_ms_ = started_ && !jumped_back && now_ms - next_ms_ < kStepMs ? next_ms_ + kStepMs
                                                                     : now_ms + kStepMs;
  renderer_->render(scene_seconds_, rgb_.data());
  scene_seconds_ += kStepMs / 1000;
  Planes planes = to_planes(rgb_.data());
  drawn_.from = started_ ? std::move(drawn_.to) : planes;
  drawn_.to = std::move(planes);
  drawn_.begin_ms = now_ms;
  started_ = true;
  if (!repaint_) return std::nullopt;
  chunk_.source = PictureSource::kScene;
  chunk_.size = size_;
  chunk_.rgb.insert(chunk_.rgb.end(), rgb_.begin(), rgb_.end());
  if (chunk_.rgb.size() < rgb_.size() * static_cast<size_t>(model_.frames_per_chunk)) {
    return std::nullopt;
  }
  return std::exchange(chunk_, Chunk());
}

void SceneFeed::take_repainted(double now_ms) {
  while (const std::optional<GeneratedChunk> chunk = inbox_.take()) {
    const bool fits = !chunk->size.known() || chunk->size == size_;
    if (!repaint_ || chunk->revision < revision_ || !fits) continue;
    last_painted_ms_ = now_ms;
    for (size_t at = 0; at + rgb_.size() <= chunk->rgb.size(); at += rgb_.size()) {
      waiting_.push_back(to_planes(chunk->rgb.data() + at));
    }
  }
  // A clock that jumped back must not freeze the scene.
  if (painted_.begin_ms > now_ms + 2 * kHeadStartMs) painted_.begin_ms = now_ms;
  const size_t most = SceneInbox::kMaxChunks * static_cast<size_t>(model_.frames_per_chunk);
  while (waiting_.size() > most) waiting_.pop_front();
  if (painted_.to.empty() && !waiting_.empty()) {
    painted_.from = painted_.to = waiting_.front();
    painted_.begin_ms = now_ms + kHeadStartMs - kStepMs;
  }
  while (!waiting_.empty() && now_ms - painted_.begin_ms >= kStepMs) {
    painted_.from = std::move(painted_.to);
    painted_.to = std::move(waiting_.front());
    waiting_.pop_front();
    // A feed that ran dry begins anew instead of hurrying.
    const double late = now_ms - painted_.begin_ms - kStepMs;
    painted_.begin_ms = late < kStepMs ? painted_.begin_ms + kStepMs : now_ms;
  }
}

void SceneFeed::mix(const Planes& a, const Planes& b, double share, Planes& out) const {
  const auto weight = static_cast<uint32_t>(std::clamp(share, 0.0, 1.0) * 256 + 0.5);
  out.resize(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    out[i] = static_cast<uint8_t>((a[i] * (256 - weight) + b[i] * weight + 128) >> 8);
  }
}

const AVFrame& SceneFeed::picture(double now_ms) {
  take_repainted(now_ms);
  const double step = std::clamp(now_ms - last_picture_ms_, 0.0, 100.0) / kFadeMs;
  last_picture_ms_ = now_ms;
  const bool fresh = now_ms - last_painted_ms_ < kStaleMs && !painted_.to.empty();
  painted_share_ = std::clamp(painted_share_ + (fresh ? step : -step), 0.0, 1.0);
  mix(drawn_.from, drawn_.to, (now_ms - drawn_.begin_ms) / kStepMs, mixed_);
  if (painted_share_ > 0) {
    mix(painted_.from, painted_.to, (now_ms - painted_.begin_ms) / kStepMs, mixed_painted_);
    mix(mixed_, mixed_painted_, painted_share_, mixed_);
  }
  const uint8_t* from = mixed_.data();
  for (int plane = 0; plane < 3; ++plane) {
    const int width = plane == 0 ? size_.width : (size_.width + 1) / 2;
    const int height = plane == 0 ? size_.height : (size_.height + 1) / 2;
    for (int y = 0; y < height; ++y, from += width) {
      std::memcpy(picture_->data[plane] + static_cast<ptrdiff_t>(y) * picture_->linesize[plane],
                  from, static_cast<size_t>(width));
    }
  }
  return *picture_;
}

}  // namespace driftless
