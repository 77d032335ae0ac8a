#pragma once

// What a model takes, from its configuration alone: before anything is allocated.

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace driftless {

struct ModelConfig;

// What a session has memory for.
struct StreamRows {
  size_t steps = 1;  // rows of the stream batch
  // Batches with the session that may be under way at once, over the ranks of a model that is
  // split. As many chunks at most are between the beginning of a step and that of the next.
  size_t depth = 1;

  size_t chunks() const { return steps * depth; }
};

// Bytes of one session at the largest of the model's sizes: a smaller picture takes less. All but
// `codec` and `pixels` lies in arenas, taken whole when the session opens.
struct SessionBytes {
  size_t rings = 0;    // self-attention keys and values of every row
  size_t latents = 0;  // of the chunks in flight, and the stream's noise
  size_t prompt = 0;   // embeddings, keys and values of a prompt that is coming in
  size_t history = 0;  // latents for the rings to be made anew from
  size_t picture = 0;  // the last frame, to measure motion with
  size_t scaled = 0;   // a chunk of pictures of another size than the model's full one
  size_t codec = 0;    // what the autoencoder remembers, encoder and decoder
  size_t pixels = 0;   // on a GPU, about: pictures on their way between codecs and model

  size_t arena() const { return rings + latents + prompt + history + picture + scaled; }
  size_t sum() const { return arena() + codec + pixels; }
  // Largest first.
  std::vector<std::pair<std::string, size_t>> parts() const;
};

// Weights count as 32 bits, which is the most they take. Not in it: the autoencoder's working
// memory, which all sessions share.
struct MemoryPlan {
  StreamRows rows;     // of each session
  size_t weights = 0;  // of the networks, once
  size_t encoder = 0;  // of UMT5, where it reads prompts: all, or what it has at a time
  size_t row = 0;      // what one row takes while it is computed
  size_t prompt = 0;   // each prompt in use, shared by who has the same words
  size_t limit = 0;    // 0: none
  SessionBytes session;

  size_t total(size_t sessions, size_t prompts) const;

  // Whether one more session, and so many more prompts, fit beside those that are there. Throws
  // Error that names what is needed, what is free, the limit and the largest parts.
  void admit(size_t sessions, size_t prompts, size_t new_prompts) const;
  // The same for a prompt alone.
  void admit_prompt(size_t sessions, size_t prompts) const;
};

// max_steps: 1 to the length of the model's step list. keep_encoder: whether UMT5 stays as a whole.
// depth: of StreamRows. on_device: pictures lie in a GPU's memory too.
MemoryPlan plan_memory(const ModelConfig& config, int max_steps, size_t limit_bytes,
                       bool keep_encoder = false, size_t depth = 1, bool on_device = false);

// "12.3 MiB".
std::string mebibytes(size_t bytes);

}  // namespace driftless
