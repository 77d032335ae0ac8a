#pragma once

#include <memory>
#include <vector>

#include "ops/aligned_words.h"
#include "ops/cpu_panel.h"
#include "ops/reference_ops.h"
#include "ops/worker_pool.h"

namespace driftless {

/// The CPU backend: one packed panel kernel for products, convolutions and attention, in f32 or
/// bf16 (with AMX where there is any), and vectorised loops for the rest. Operations that only move
/// data are inherited from ReferenceOps.
class CpuOps : public ReferenceOps {
 public:
  /// threads >= 1: how many threads one call may use. kernels: what products are computed with.
  CpuOps(int threads, const PanelKernels& kernels);
  ~CpuOps() override;
  const char* name() const override { return "cpu"; }
  DType dtype() const override {
    return kernels_.type == WordType::bf16 ? DType::bf16 : DType::f32;
  }

  int threads() const override { return pool_.threads(); }
  void each(int64_t count, TaskRef task) override;
  Arena& arena() override { return worker().arena; }

  std::unique_ptr<PackedLinear> pack_linear(const Tensor& weight, const Tensor& bias,
                                            bool bulk) override;
  void linear(const PackedLinear& weights, const Tensor& x, const Tensor& y,
              const LinearEpilogue& epilogue) override;
  std::unique_ptr<PackedConv> pack_conv(const Tensor& weight, const Tensor& bias,
                                        const ConvOptions& options) override;
  void conv2d(const PackedConv& weights, const Tensor& x, const Tensor& x2, const Tensor& residual,
              Activation activation, const Tensor& y) override;
  void attention(const AttentionRow* rows, int64_t count, int64_t heads, int64_t head_dim,
                 float scale) override;

  void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const GroupVectors& scale, const GroupVectors& shift, float eps,
                  const Tensor& y) override;
  void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y) override;
  void rope3d(const Tensor& x, const double* positions, int64_t height, int64_t width,
              const Tensor& y) override;
  void activate(Activation activation, const Tensor& x, const Tensor& y) override;
  void tanh_clamp(const Tensor& x, float limit, const Tensor& y) override;

 private:
  /// What a thread has for itself; all of it grows to the largest request and stays.
  struct Worker {
    AlignedWords scratch;
    Arena arena{size_t{4} << 20};
  };
  /// The calling thread's.
  Worker& worker() { return workers_[static_cast<size_t>(pool_.current_worker())]; }

  /// Whether an operation of so many multiplications and additions is worth sharing between
  /// threads. Inside a task of each() nothing is shared further.
  bool splits(double operations) const;
  /// Calls task(index, scratch) for 0..count-1, on all threads where the operation is worth it.
  /// Scratch holds so many words and is the task's alone.
  template <typename Task>
  void parallel(int64_t count, double operations, size_t words, Task task) {
    if (!splits(operations)) {
      Word* memory = worker().scratch.reserve(words);
      for (int64_t index = 0; index < count; ++index) task(index, memory);
      return;
    }
    pool_.run(count, [&](int64_t index) { task(index, worker().scratch.reserve(words)); });
  }

  const PanelKernels& kernels_;
  WorkerPool pool_;
  std::vector<Worker> workers_;
};

}  // namespace driftless
