#include "media/media_engine.h"

#include <algorithm>

#include "core/error.h"

namespace driftless {
namespace {

ModelInfo info_of(const Pipeline* pipeline) {
  if (pipeline) return pipeline->info();
  ModelInfo info;
  info.name = "passthrough";
  info.width = 256;
  info.height = 144;
  for (const PictureSize& size :
       {PictureSize{256, 144}, {224, 160}, {192, 192}, {160, 224}, {144, 256}}) {
    info.sizes.push_back({size, size});
  }
  info.frames_per_chunk = 4;
  info.fps = 16;
  return info;
}

}  // namespace

MediaEngine::MediaEngine(std::unique_ptr<Pipeline> pipeline, size_t max_sessions,
                         std::shared_ptr<const MatteModels> mattes, const GpuCodecs& gpu)
    : pipeline_(std::move(pipeline)),
      info_(info_of(pipeline_.get())),
      max_sessions_(max_sessions),
      mattes_(std::move(mattes)),
      gpu_(gpu) {
  if (max_sessions == 0) throw Error("maximum of sessions", "at least 1", max_sessions);
  loop_ = std::make_unique<ComputeLoop>(pipeline_.get());
}

MediaEngine::~MediaEngine() { stop(); }

void MediaEngine::check(const Transform& transform) const {
  if (transform.mode == TransformMode::kRestyle && !pipeline_) {
    throw Error("transform mode", "passthrough (this engine has no model)", "restyle");
  }
  if (transform.mode == TransformMode::kBackground && !mattes_) {
    throw Error("transform mode", "another one (this engine has no segmentation networks)",
                "background");
  }
  if (transform.hides_room() && !mattes_) {
    throw Error("hidden room", "false (this engine has no segmentation networks)", "true");
  }
}

std::shared_ptr<MediaSession> MediaEngine::create_session(const SessionOptions& options,
                                                          std::function<void()> wake) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (stopped_) throw Error("engine", "an open one", "one that was closed");
  sessions_.erase(std::remove_if(sessions_.begin(), sessions_.end(),
                                 [](const auto& session) { return session.expired(); }),
                  sessions_.end());
  if (sessions_.size() >= max_sessions_) {
    throw Error("sessions of this engine", "at most " + std::to_string(max_sessions_),
                sessions_.size() + 1);
  }
  check(options.transform);
  // Whoever only passes frames through now may ask for the model at any time. Two prompts each: the
  // one that is there and the one that comes.
  info_.memory.admit(sessions_.size(), 2 * sessions_.size(), 2);
  SessionOptions own = options;
  own.gpu = gpu_;
  auto session = std::make_shared<MediaSession>(own, info_, mattes_, *loop_, std::move(wake));
  sessions_.push_back(session);
  return session;
}

void MediaEngine::stop() {
  std::lock_guard<std::mutex> stop_lock(stop_mutex_);
  std::vector<std::weak_ptr<MediaSession>> sessions;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
    sessions.swap(sessions_);
  }
  for (const auto& weak : sessions) {
    if (const auto session = weak.lock()) session->stop();
  }
  loop_->stop();
}

}  // namespace driftless
