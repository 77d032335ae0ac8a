#pragma once

// The state of one live session.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/arena.h"
#include "models/latent_codec.h"
#include "models/model_config.h"
#include "stream/latent_guard.h"
#include "stream/memory_plan.h"
#include "stream/noise_controller.h"
#include "stream/picture_guard.h"
#include "stream/picture_memory.h"
#include "stream/pipeline.h"
#include "stream/prompt_bank.h"
#include "stream/prompt_blend.h"
#include "stream/steadier.h"

namespace driftless {

// Settings as a chunk takes them along: a chunk is finished with what it was begun with.
struct ActiveSettings {
  TransformSettings asked;
  uint64_t revision = 0;
  std::shared_ptr<const Prompt> prompt;
};

// One chunk on its way through the denoising steps. Its latents are at unit scale, the noisy ones
// in the network's own scale.
struct ChunkInFlight {
  bool present = false;
  size_t step = 0;         // that it is in, or waits for
  bool under_way = false;  // in a batch
  uint64_t index = 0;
  float noise_scale = 0;
  double timestep = 0;
  std::shared_ptr<const ActiveSettings> settings;
  PictureMemory::Latents latents;
  Tensor motion;         // of its frames; absent where nothing is held still
  ChannelFeatures look;  // of its frames, for the guard on pictures
  bool blended = false;  // the prompt is on its way from another one, and lies in `blend`
  std::unique_ptr<PromptKv> blend;

  const PromptKv& prompt() const { return blended ? *blend : settings->prompt->kv; }
};

class Session : public StreamSession {
 public:
  // Takes all memory that it will ever need; a smaller picture's comes in the place of the full
  // one's. `model` must outlive it. size: of its pictures, one of the model's.
  Session(Model& model, std::shared_ptr<const void> owner, const StreamRows& rows,
          std::shared_ptr<const ActiveSettings> settings, const PictureSize& size);
  static SessionBytes bytes(const ModelConfig& config, const PictureSize& size,
                            const StreamRows& rows);
  // Of the size that takes most.
  static SessionBytes bytes(const ModelConfig& config, const StreamRows& rows);

  const void* owner() const { return owner_.get(); }
  const ActiveSettings& settings() const { return *settings_; }
  // From the next chunk on. A new prompt comes in over the model's number of blended chunks.
  void set_settings(std::shared_ptr<const ActiveSettings> settings);

  // Begins a chunk, which waits for its first step, and measures its motion. rgb:
  // frames_per_chunk frames, bytes in the operations' memory. Where several chunks wait for the
  // same step and none is under way, the older ones are dropped. Rows follow the settings' number
  // of steps: a new row starts from the memory of the row above it, a row that goes drops its
  // chunks.
  ChunkInFlight& begin(const Tensor& rgb);
  // The oldest chunk that waits for a step, which is under way now; null when none does.
  ChunkInFlight* take_step(size_t step);
  // Whether nothing of the session may be under way when the next chunk begins: its rows or its
  // picture change then, or its rings are made anew.
  bool wants_rest() const;

  // Whether the settings ask for another size of picture than there is memory for.
  bool picture_due() const;
  // Takes the memory of the size asked for; what the other one remembered is lost, and so are the
  // chunks in flight. Returns whether the stream has begun: then newest() holds buffers and noise
  // for the new memory to be shown last_frame() with, once in each row.
  bool fit_picture();
  // Of the pictures that go in and come out.
  const PictureSize& full_size() const { return full_; }
  // [height, width, 3] of the full size; undefined before the first chunk.
  const Tensor& last_frame() const { return last_frame_; }

  // What it holds: arenas, and beside them the codec's states.
  size_t arena_bytes() const;
  size_t codec_bytes() const { return picture_->codec_bytes(); }

  size_t rows() const { return rows_; }
  // How many of the rows have seen a chunk, the newest left aside: the first ones.
  size_t rows_past(uint64_t index) const;
  ChunkInFlight& newest() { return chunks_[newest_]; }
  const std::vector<ChunkInFlight>& chunks() const { return chunks_; }
  RollingCache& cache(size_t index) { return picture_->cache(index); }
  PictureMemory& picture() { return *picture_; }

  // Keep a finished latent at unit scale, and the pictures made from it, a chunk of the full size,
  // from wandering off. Without guards they do nothing.
  void guard(const ChunkInFlight& chunk, const Tensor& x0);
  void guard_pictures(const ChunkInFlight& chunk, const Tensor& pictures);
  // Holds still what the camera of this chunk held still. Does nothing where the model wants that.
  void steady(const ChunkInFlight& chunk, const Tensor& pictures);
  std::optional<LatentGuard> drift_guard;
  std::optional<PictureGuard> picture_guard;

  // Where the prompt stands; the newest chunk takes it in when it is `blended`.
  const PromptBlend& blend() const { return blend_; }

  // Latents for the rings to be made anew from; present where the model wants that.
  LatentHistory* history() { return picture_->history() ? &*picture_->history() : nullptr; }
  // A chunk to make them anew with, and whether the newest chunk asks for it.
  ChunkInFlight& recache_chunk() { return recache_; }
  bool recache_due() const { return recache_due_; }

 private:
  PictureSize asked_size() const;
  void take_picture();
  void begin_at_row_0(ChunkInFlight& chunk);
  void clear_jam();
  void fit_rows();
  void renew_sinks();

  Model& model_;
  const ModelConfig& config_;
  std::shared_ptr<const void> owner_;
  std::shared_ptr<const ActiveSettings> settings_;
  const StreamRows memory_for_;
  const PictureSize full_;
  Ops& ops_;
  // What does not depend on the picture's size.
  Arena memory_;
  std::unique_ptr<PictureMemory> picture_;
  NoiseController controller_;
  Tensor last_frame_;
  std::vector<uint64_t> differences_;  // of a chunk's frames, each to the one before
  PromptBlend blend_;
  bool recache_due_ = false;
  std::vector<ChunkInFlight> chunks_;  // in no order
  size_t newest_ = 0;
  std::vector<uint64_t> row_next_;  // by row: after the last chunk that it has seen
  size_t rows_ = 0;                 // in use
  ChunkInFlight recache_;
  uint64_t next_index_ = 0;
  // Where the model holds still what the camera does.
  std::optional<Steadier> steadier_;
  std::shared_ptr<const ActiveSettings> steadied_;  // of the last picture
  std::shared_ptr<const ActiveSettings> guarded_;   // of the last finished latent
};

}  // namespace driftless
