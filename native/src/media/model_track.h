#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "media/session_types.h"

namespace driftless {

/// One track's side of the pipeline: its stream state, which settings are in force, and which input
/// frames the chunks inside the stream batch belong to. Used by the compute thread only.
class ModelTrack {
 public:
  /// pipeline may be null (no model); it must outlive the track.
  explicit ModelTrack(Pipeline* pipeline) : pipeline_(pipeline) {}

  /// Brings the pipeline to these settings before the next chunk. revision: the caller's name for
  /// them. Throws driftless::Error and leaves the former settings in force when the pipeline
  /// refuses them. Returns the number of frames that were lost inside the stream batch.
  size_t apply(const Transform& transform, uint64_t revision);

  /// Whether apply() with these settings (null: none come) or begin() with this chunk ends the
  /// stream.
  bool ends_stream(const Transform* change, const Chunk& chunk) const {
    const bool passes = change != nullptr && change->mode == TransformMode::kPassthrough;
    return stream_ != nullptr && (passes || !stream_is_for(chunk));
  }

  bool passthrough() const { return mode_ == TransformMode::kPassthrough; }
  uint64_t revision() const { return revision_; }

  /// The job for this chunk; its buffers must live until finish(). Opens the stream when there is
  /// none, and a new one when pictures of one source or size follow those of another: neither
  /// scenes nor people without their room may be painted from what the stream remembers of a room.
  /// Adds frames that are lost by that to `lost`. Throws driftless::Error when the pipeline refuses
  /// the settings or there is no model.
  Pipeline::Job begin(const Chunk& chunk, ChunkPixels& out, size_t& lost);

  /// What came out, or nothing while the stream batch fills. Adds the frames that will never come
  /// out to `lost`.
  std::optional<GeneratedChunk> finish(const ChunkResult& result, ChunkPixels out, size_t& lost);

  /// Throws the stream away, after an error inside the pipeline. The next chunk begins a new one.
  /// Returns the number of frames that were lost.
  size_t reset();

 private:
  struct InFlight {
    uint64_t index = 0;
    PictureSource source = PictureSource::kCamera;
    std::vector<FrameMeta> frames;
  };

  bool stream_is_for(const Chunk& chunk) const {
    return stream_source_ == chunk.source && stream_size_ == size_of(chunk);
  }
  PictureSize size_of(const ChunkPixels& chunk) const;
  uint64_t named_revision(uint64_t pipeline_revision);

  Pipeline* const pipeline_;
  std::unique_ptr<StreamSession> stream_;
  PictureSource stream_source_ = PictureSource::kCamera;
  PictureSize stream_size_;
  TransformMode mode_ = TransformMode::kPassthrough;
  TransformSettings settings_;
  uint64_t revision_ = 0;
  uint64_t next_index_ = 0;  // of the next chunk in this stream
  std::deque<InFlight> in_flight_;
  std::deque<std::pair<uint64_t, uint64_t>> revisions_;  // pipeline's revision, caller's
};

}  // namespace driftless
