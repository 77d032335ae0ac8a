#include "media/model_track.h"

#include "core/error.h"

namespace driftless {
namespace {

// The pipeline opens a stream with this revision.
constexpr uint64_t kFirstPipelineRevision = 1;
// Longer than any stream batch times the batches under way; a bound, in case a pipeline never gives
// a chunk back.
constexpr size_t kMaxInFlight = 256;

}  // namespace

size_t ModelTrack::apply(const Transform& transform, uint64_t revision) {
  size_t lost = 0;
  if (transform.mode == TransformMode::kPassthrough) {
    // A stream that is not fed would go on from a picture of long ago.
    lost = reset();
  } else if (stream_) {
    revisions_.emplace_back(pipeline_->update(*stream_, transform.settings), revision);
    if (revisions_.size() > kMaxInFlight) revisions_.pop_front();
  }
  mode_ = transform.mode;
  settings_ = transform.settings;
  revision_ = revision;
  return lost;
}

PictureSize ModelTrack::size_of(const ChunkPixels& chunk) const {
  if (chunk.size.known() || pipeline_ == nullptr) return chunk.size;
  return pipeline_->info().size();
}

Pipeline::Job ModelTrack::begin(const Chunk& chunk, ChunkPixels& out, size_t& lost) {
  if (stream_ && !stream_is_for(chunk)) lost += reset();
  if (!stream_) {
    if (!pipeline_) throw Error("transform", "an engine with a model", "one without (no modelDir)");
    stream_size_ = size_of(chunk);
    stream_ = pipeline_->open(settings_, stream_size_);
    revisions_ = {{kFirstPipelineRevision, revision_}};
    stream_source_ = chunk.source;
    next_index_ = 0;
  }
  out = chunk.like();
  in_flight_.push_back({next_index_++, chunk.source, chunk.frames});
  Pipeline::Job job;
  job.session = stream_.get();
  job.rgb_in = chunk.data();
  job.rgb_out = out.data();
  job.memory = chunk.memory();
  return job;
}

std::optional<GeneratedChunk> ModelTrack::finish(const ChunkResult& result, ChunkPixels out,
                                                 size_t& lost) {
  std::optional<GeneratedChunk> generated;
  while (!in_flight_.empty() &&
         (in_flight_.size() > kMaxInFlight ||
          (result.has_frames && in_flight_.front().index <= result.chunk_index_out))) {
    if (result.has_frames && in_flight_.front().index == result.chunk_index_out) {
      generated.emplace();
      generated->source = in_flight_.front().source;
      static_cast<ChunkPixels&>(*generated) = std::move(out);
      generated->frames = std::move(in_flight_.front().frames);
      generated->revision = named_revision(result.settings_revision);
      generated->complete = result.settings_complete;
    } else {
      lost += in_flight_.front().frames.size();
    }
    in_flight_.pop_front();
  }
  return generated;
}

size_t ModelTrack::reset() {
  size_t lost = 0;
  for (const InFlight& chunk : in_flight_) lost += chunk.frames.size();
  in_flight_.clear();
  revisions_.clear();
  stream_.reset();
  return lost;
}

uint64_t ModelTrack::named_revision(uint64_t pipeline_revision) {
  uint64_t name = revision_;
  for (const auto& [pipeline, caller] : revisions_) {
    if (pipeline <= pipeline_revision) name = caller;
  }
  return name;
}

}  // namespace driftless
