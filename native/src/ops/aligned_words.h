#pragma once

#include <cstddef>
#include <memory>
#include <new>

#include "ops/words.h"

namespace driftless {

/// Memory that starts at a cache line, so that no vector load touches two. Grows, never shrinks.
class AlignedWords {
 public:
  AlignedWords() = default;
  explicit AlignedWords(size_t words) { reserve(words); }

  /// Room for so many words; what was there is lost when it grows. New memory is zero.
  Word* reserve(size_t words) {
    if (words > words_) {
      const size_t bytes = words * sizeof(Word);
      memory_.reset(static_cast<uint32_t*>(::operator new(bytes, kLine)));
      std::memset(memory_.get(), 0, bytes);
      words_ = words;
    }
    return memory_.get();
  }
  float* reserve_floats(size_t floats) { return reinterpret_cast<float*>(reserve(floats)); }
  Word* data() { return memory_.get(); }
  const Word* data() const { return memory_.get(); }

 private:
  static constexpr std::align_val_t kLine{64};
  struct Free {
    void operator()(uint32_t* memory) const { ::operator delete(memory, kLine); }
  };
  std::unique_ptr<uint32_t, Free> memory_;
  size_t words_ = 0;
};

}  // namespace driftless
