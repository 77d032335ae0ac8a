#include "models/prompt_cache.h"

#include <algorithm>
#include <utility>

#include "core/arena.h"
#include "core/error.h"

namespace driftless {

PromptCache::PromptCache(int64_t length, int64_t dim, Factory make, EncoderResidency residency,
                         size_t max_bytes)
    : length_(length),
      dim_(dim),
      make_(std::move(make)),
      residency_(residency),
      max_bytes_(max_bytes) {}

void PromptCache::embed(const std::string& prompt, const Tensor& text) {
  DL_CHECK_EQ("prompt embeddings", (Shape{length_, dim_}), text.shape());
  const std::shared_ptr<const Rows> rows = get(prompt);
  float* end = std::copy(rows->begin(), rows->end(), text.f32());
  std::fill(end, text.f32() + text.count(), 0.0f);
}

void PromptCache::prepare(const std::string& prompt) { get(prompt); }

bool PromptCache::ready(const std::string& prompt) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return by_prompt_.count(prompt) != 0;
}

PromptCacheStats PromptCache::stats() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return stats_;
}

std::shared_ptr<const PromptCache::Rows> PromptCache::get(const std::string& prompt) {
  if (auto rows = find(prompt)) return rows;
  // Counted before the lock, so that whoever has the encoder leaves it to us.
  ++waiting_;
  const std::lock_guard<std::mutex> lock(encoder_mutex_);
  struct Leave {
    PromptCache& cache;
    ~Leave() {
      const bool last = --cache.waiting_ == 0;
      if (last && cache.residency_ == EncoderResidency::release) cache.encoder_.reset();
    }
  } leave{*this};
  // Somebody may have encoded it while we waited.
  if (auto rows = find(prompt)) return rows;
  const std::shared_ptr<const Rows> rows = encode(prompt);
  insert(prompt, rows);
  return rows;
}

std::shared_ptr<const PromptCache::Rows> PromptCache::find(const std::string& prompt) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_prompt_.find(prompt);
  if (found == by_prompt_.end()) return nullptr;
  ++stats_.hits;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->rows;
}

std::shared_ptr<const PromptCache::Rows> PromptCache::encode(const std::string& prompt) {
  if (!encoder_) {
    encoder_ = make_();
    const std::lock_guard<std::mutex> lock(mutex_);
    ++stats_.loads;
  }
  Arena scratch;
  const Tensor text = scratch.tensor({length_, dim_});
  encoder_->encode(prompt, text);
  const float* begin = text.f32();
  const float* end = begin + text.count();
  while (end > begin && end[-1] == 0.0f) --end;
  return std::make_shared<const Rows>(begin, end);
}

void PromptCache::insert(const std::string& prompt, std::shared_ptr<const Rows> rows) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++stats_.misses;
  stats_.bytes += rows->size() * sizeof(float);
  entries_.push_front(Entry{prompt, std::move(rows)});
  by_prompt_[prompt] = entries_.begin();
  while (stats_.bytes > max_bytes_ && entries_.size() > 1) {
    stats_.bytes -= entries_.back().rows->size() * sizeof(float);
    by_prompt_.erase(entries_.back().prompt);
    entries_.pop_back();
    ++stats_.evictions;
  }
  stats_.prompts = entries_.size();
}

}  // namespace driftless
