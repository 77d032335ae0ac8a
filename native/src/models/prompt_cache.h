#pragma once

// Prompts by their words: the encoder's output is kept, and the encoder itself is there only while
// it is needed. The encoder of Wan's models is four times as large as the smaller transformer and
// takes seconds; a room changes its prompts rarely and goes back to old ones often.

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "models/prompt_encoder.h"

namespace driftless {

// After use: the encoder stays in memory, or is let go and loaded again for the next new prompt.
enum class EncoderResidency { keep, release };

struct PromptCacheStats {
  uint64_t hits = 0;       // prompts that were there
  uint64_t misses = 0;     // prompts that had to be encoded
  uint64_t evictions = 0;  // prompts dropped for room, the longest unused first
  uint64_t loads = 0;      // times that the encoder was loaded
  size_t prompts = 0;      // held now
  size_t bytes = 0;        // of the prompts held now
};

// Thread-safe. A prompt that is not there keeps the calling thread busy until it is encoded, with
// the encoder's loading up to many seconds, but no other thread that asks for prompts that are.
// So call prepare() on a thread that may wait, then embed() where time counts.
class PromptCache {
 public:
  // Loads an encoder; runs on the thread that first needs it. What it returns must not share
  // working memory with anything that runs at the same time.
  using Factory = std::function<std::unique_ptr<PromptEncoder>()>;

  // length, dim: of all encoders that `make` returns. max_bytes: bound of the prompts' memory; the
  // newest prompt stays even when it alone is larger.
  PromptCache(int64_t length, int64_t dim, Factory make, EncoderResidency residency,
              size_t max_bytes = size_t{64} << 20);

  // text [length, dim]: the prompt's embeddings. Throws what the encoder throws.
  void embed(const std::string& prompt, const Tensor& text);

  // The same without the result: afterwards embed() only copies, until the prompt is evicted.
  void prepare(const std::string& prompt);

  // Whether embed() would only copy.
  bool ready(const std::string& prompt) const;

  PromptCacheStats stats() const;

 private:
  // Rows behind the last one that is not zero are left out.
  using Rows = std::vector<float>;
  struct Entry {
    std::string prompt;
    std::shared_ptr<const Rows> rows;
  };

  std::shared_ptr<const Rows> get(const std::string& prompt);
  std::shared_ptr<const Rows> find(const std::string& prompt);
  std::shared_ptr<const Rows> encode(const std::string& prompt);
  void insert(const std::string& prompt, std::shared_ptr<const Rows> rows);

  const int64_t length_, dim_;
  const Factory make_;
  const EncoderResidency residency_;
  const size_t max_bytes_;

  std::mutex encoder_mutex_;  // taken before mutex_ where both are
  std::unique_ptr<PromptEncoder> encoder_;
  std::atomic<int> waiting_{0};  // threads that are about to use the encoder

  mutable std::mutex mutex_;  // of everything below
  std::list<Entry> entries_;  // most recently used first
  std::map<std::string, std::list<Entry>::iterator> by_prompt_;
  PromptCacheStats stats_;
};

}  // namespace driftless
