#pragma once

// Another way beside our own kernels, cuDNN's first of all: tried once for each size on random
// numbers, and taken for the sizes at which it says the same and clearly sooner.

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "ops/cuda/cuda_base.h"
#include "ops/cuda/cudnn_plan.h"

namespace driftless {

/// cuDNN's name of a type of 16 bits.
template <typename T>
constexpr cuda::dnn::DataType dnn_type() {
  return std::is_same_v<T, cuda::f16> ? cuda::dnn::kF16 : cuda::dnn::kBf16;
}

class CudaLibrary : public CudaBase {
 public:
  explicit CudaLibrary(const CudaOptions& options)
      : CudaBase(options), clock_(options.clock != nullptr ? options.clock : steady_seconds) {
    if (options.cudnn == nullptr || token_dtype() == DType::f32) return;
    try {
      library_.emplace(*options.cudnn, stream_.get());
    } catch (const Error&) {
      // Our own kernels do without it.
    }
  }

  void try_libraries(TaskRef work) override {
    if (!library_) return;
    const struct Trial {
      bool& trying;
      explicit Trial(bool& flag) : trying(flag) { trying = true; }
      ~Trial() { trying = false; }
    } trial(trying_);
    work(0);
  }

 protected:
  /// cuDNN's plan for a size, or null where is_better(plan) says no.
  template <typename Plan, typename Size, typename Judge>
  std::unique_ptr<Plan> tried(const Size& size, const Judge& is_better) {
    try {
      const cuda::DnnTarget target{library_->handle()};
      auto plan = std::make_unique<Plan>(library_->api(), size, target);
      return is_better(*plan) ? std::move(plan) : nullptr;
    } catch (const DeviceLost&) {
      throw;
    } catch (const Error&) {
      // No engine for the size, or no room to try it: our own kernel needs neither.
      return nullptr;
    }
  }

  void* workspace_of(const cuda::DnnPlan& plan) {
    const size_t bytes = plan.workspace_bytes();
    return bytes == 0 ? nullptr : scratch_.take(kLibraryWorkspace, bytes);
  }

  /// Normal noise, the same for the same `stream`.
  template <typename T>
  void fill(T* to, int64_t count, uint64_t stream) {
    Arena arena(kPiece * sizeof(float) + kSlack, 0, memory_);
    in_pieces(count, arena, [&](int64_t from, int64_t part) {
      const Tensor noise = arena.tensor({part});
      normal_noise(kTrialSeed, stream, static_cast<uint64_t>(from), noise);
      cuda::map("convert", on_device(noise), to + from, part, part, cuda::Convert{}, stream_.get());
    });
  }

  /// Whether the library's values are ours, but for roundings.
  template <typename T>
  bool alike(const T* ours, const T* theirs, int64_t count) {
    Arena arena(2 * (kPiece * sizeof(float) + kSlack), 0, memory_);
    double difference = 0, square = 0;
    in_pieces(count, arena, [&](int64_t from, int64_t part) {
      const Tensor a = arena.tensor({part}), b = arena.tensor({part});
      cuda::map("convert", ours + from, on_device(a), part, part, cuda::Convert{}, stream_.get());
      cuda::map("convert", theirs + from, on_device(b), part, part, cuda::Convert{}, stream_.get());
      difference += mean_square_difference(a, b) * static_cast<double>(part);
      clear(b);
      square += mean_square_difference(a, b) * static_cast<double>(part);
    });
    return difference <= kMostDifference * square;
  }

  /// What one run takes.
  template <typename Run>
  double seconds(const Run& run) {
    wait();
    const double start = clock_();
    for (int i = 0; i < kTrialRuns; ++i) run();
    wait();
    return (clock_() - start) / kTrialRuns;
  }

  /// Of our own kernel's time, for the library to be worth it.
  static constexpr double kMostShare = 0.9;
  static constexpr uint64_t kTrialSeed = 1;

  std::optional<cuda::DnnLibrary> library_;  // Before the plans that it made.

 private:
  template <typename Visit>
  static void in_pieces(int64_t count, Arena& arena, const Visit& visit) {
    for (int64_t from = 0; from < count; from += kPiece) {
      const ArenaScope scope(arena);
      visit(from, std::min(kPiece, count - from));
    }
  }

  static double steady_seconds() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(now).count();
  }

  static constexpr int kTrialRuns = 5;
  /// Of the mean square of what ours says; roundings make up a tenth of it.
  static constexpr double kMostDifference = 1e-4;
  static constexpr int64_t kPiece = int64_t{1} << 20;  // Values.
  static constexpr size_t kSlack = 256;

  double (*clock_)();
};

}  // namespace driftless
