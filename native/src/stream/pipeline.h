#pragma once

// The engine's face towards media and addon: sessions go in with one chunk of RGB pixels each, and
// come out repainted. One pipeline owns one set of weights and serves many sessions; the work of
// the sessions that are given together is done in one batch, but what a session gets back never
// depends on who shared the batch with it.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "ops/video_ops.h"
#include "stream/drift_guard.h"
#include "stream/memory_plan.h"
#include "stream/picture_size.h"

namespace driftless {

struct ModelOptions {
  std::string dir;  // folder with model.json and its safetensors files
  // "cpu", "reference", or "cuda" in a build with it. Several with commas between them: the
  // transformer's blocks are split over them as a pipeline (models/dit_ranks.h).
  std::string backend = "cpu";
  int threads = 1;             // compute threads of the backend
  std::string dtype = "auto";  // "f32", "bf16" or "auto": see make_ops()
  // Whether an imported model's prompt encoder stays in memory, or is read for each new prompt.
  bool keep_prompt_encoder = false;
  int max_steps = 0;              // steps that a session may ask for; 0: all of the model's
  size_t memory_limit_bytes = 0;  // sessions that would take more are refused; 0: none
  bool drift_guard = true;        // false: off, whatever the model says
};

// What a participant asks for. Ranges are checked by open() and update().
struct TransformSettings {
  std::string prompt;  // may be empty
  // 0 keeps the original, 1 is the full effect, up to kMostStrength exaggerates it.
  float strength = 0.7f;
  static constexpr float kMostStrength = 2;
  int steps = 1;  // denoising steps, 1 to the length of the model's step list
  uint64_t seed = 0;
  // Paint at ModelInfo's smaller size and enlarge the result. A running stream that changes size
  // is shown its last picture once more, so that its new memory does not begin from nothing.
  bool smaller_picture = false;
};

struct ModelInfo {
  std::string name;
  int width = 0, height = 0;                  // pixels
  int smaller_width = 0, smaller_height = 0;  // pixels; 0: the model has no smaller size
  // What a session may be painted at, width x height the first of them, and the smaller size of
  // each (the same one where it has none). Empty: width x height alone.
  struct Size {
    PictureSize full, smaller;
  };
  std::vector<Size> sizes;
  int frames_per_chunk = 0;
  double fps = 0;
  double warm_up_ms = 0;  // what one chunk of one step took after loading; 0: not measured
  MemoryPlan memory;

  PictureSize size() const { return {width, height}; }
  // The size at which a camera's pictures are painted: the one of the nearest shape.
  PictureSize size_for(const PictureSize& camera) const;
  // Of a session painted at `size`, in pictures of width x height: of all of it, and the smaller
  // size's share of that; 0: there is none.
  double area_of(const PictureSize& size) const { return size.area() / this->size().area(); }
  double smaller_share_of(const PictureSize& size) const;
};

struct ChunkResult {
  bool has_frames = false;         // false while the stream batch fills
  uint64_t chunk_index_out = 0;    // index of the input chunk whose frames came out
  uint64_t settings_revision = 0;  // revision of the settings that the frames were made with
  bool settings_complete = true;   // false while their prompt is on its way from another one
  GuardCounters guard;             // of the session's drift guard, and of that on its pictures,
  GuardCounters picture_guard;     //   both since it was opened
  float noise_scale = 0;  // what the motion-aware controller chose for the chunk that went in
};

// Everything that belongs to one track: codec memories, key/value rings, rows, noise, settings.
class StreamSession {
 public:
  virtual ~StreamSession() = default;
};

// Not thread-safe but for what says so: everything else is called by one compute thread, or under
// one lock.
class Pipeline {
 public:
  virtual ~Pipeline() = default;

  // Reads the model of `options.dir`. Throws driftless::Error naming file, key, expected and got.
  static std::unique_ptr<Pipeline> load(const ModelOptions& options);

  virtual const ModelInfo& info() const = 0;

  // Whether open() and update() with these words take no time: the words are known, or the model's
  // encoder is small. Safe from any thread.
  virtual bool prompt_ready(const std::string& /*words*/) const { return true; }

  // Encodes words ahead, so that they are ready; a large encoder is loaded for it, which may take
  // many seconds. Safe from any thread, also while run() runs. Throws driftless::Error.
  virtual void prepare_prompt(const std::string& /*words*/) {}

  // Throws driftless::Error when a setting is out of range, or when the session would take more
  // memory than the limit leaves. A session must die before its pipeline, and not while a batch
  // with it is under way. size: of its pictures, one of ModelInfo's.
  virtual std::unique_ptr<StreamSession> open(const TransformSettings& settings,
                                              const PictureSize& size) = 0;
  // At the model's own size.
  std::unique_ptr<StreamSession> open(const TransformSettings& settings) {
    return open(settings, info().size());
  }

  // Changes the settings of a running session without a cut, from the next chunk on; a new prompt
  // comes in over as many chunks as the model wants. Returns the new revision (open() makes
  // revision 1). Throws driftless::Error and changes nothing when a setting is out of range or the
  // limit leaves no room for the prompt.
  virtual uint64_t update(StreamSession& session, const TransformSettings& settings) = 0;

  // One chunk of one session. rgb_in and rgb_out: frames_per_chunk x height x width x 3 bytes of
  // the session's size, both
  // in `memory`: the host's, or the device's that the first backend computes on. rgb_out is filled
  // when result.has_frames. With n steps the frames that come out belong to the
  // chunk n - 1 before the one that went in, or one before that while batches are under way: a
  // chunk takes its next step with the first batch that begins when the last one is done.
  struct Job {
    StreamSession* session = nullptr;
    const uint8_t* rgb_in = nullptr;
    uint8_t* rgb_out = nullptr;
    ChunkResult result;
    Memory memory = Memory::host;
  };

  // Runs one chunk for each job; a session may appear once in a call. After an error the sessions
  // of the call are of no use any more.
  virtual void run(Job* jobs, size_t count) = 0;

  // run() in two halves, for a pipeline that keeps several devices busy: up to depth() batches may
  // be under way. The jobs and their pixels must stay until finish(), which ends the oldest batch
  // and throws what run() would have thrown. After an error in start() nothing more is under way
  // than before.
  virtual size_t depth() const { return 1; }
  virtual void start(Job* jobs, size_t count) { run(jobs, count); }
  virtual void finish() {}
  // Whether finish() would not wait for a device; and what is called, from another thread, when
  // that may have changed. It may call ready(); the one before is not called any more when
  // on_ready() returns.
  virtual bool ready() const { return true; }
  virtual void on_ready(std::function<void()> /*listener*/) {}
  // Whether nothing may be under way when this session's next chunk is begun: another size of
  // picture, or another number of steps.
  virtual bool wants_rest(const StreamSession& /*session*/) const { return false; }
  // Conversions of video where the model computes, for another thread: see VideoOps. Null where its
  // pictures lie in the host's memory. Safe from any thread; throws driftless::Error.
  virtual std::unique_ptr<VideoOps> video() const { return nullptr; }
  // Milliseconds for which the batch that was finished last kept the busiest device: one batch
  // after another cannot be done faster. 0: as long as it took.
  virtual double busiest_ms() const { return 0; }
};

}  // namespace driftless
