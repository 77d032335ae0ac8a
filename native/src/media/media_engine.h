#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "media/compute_loop.h"
#include "media/media_session.h"

namespace driftless {

/// One compute device with its model and the sessions that share it.
class MediaEngine {
 public:
  /// pipeline: null for an engine without a model, whose sessions can only pass frames through at
  /// 256x144, or another shape of as many pixels, and 16 frames a second. max_sessions: at least 1.
  /// Throws driftless::Error otherwise.
  /// mattes: null for an engine without background mode. gpu: whose codecs sessions
  /// try first.
  MediaEngine(std::unique_ptr<Pipeline> pipeline, size_t max_sessions,
              std::shared_ptr<const MatteModels> mattes = nullptr, const GpuCodecs& gpu = {});
  ~MediaEngine();

  const ModelInfo& info() const { return info_; }
  bool has_model() const { return pipeline_ != nullptr; }
  bool has_mattes() const { return mattes_ != nullptr; }

  /// Throws driftless::Error when this engine lacks what the transform needs.
  void check(const Transform& transform) const;

  /// Throws driftless::Error for bad options, when there is no room, and after stop().
  std::shared_ptr<MediaSession> create_session(const SessionOptions& options,
                                               std::function<void()> wake);

  /// Stops every session and the compute thread. Safe to call again, from several threads too.
  void stop();

 private:
  std::unique_ptr<Pipeline> pipeline_;
  const ModelInfo info_;
  const size_t max_sessions_;
  const std::shared_ptr<const MatteModels> mattes_;
  const GpuCodecs gpu_;
  std::mutex stop_mutex_;
  std::mutex mutex_;
  bool stopped_ = false;
  std::vector<std::weak_ptr<MediaSession>> sessions_;
  std::unique_ptr<ComputeLoop> loop_;
};

}  // namespace driftless
