#include "core/error.h"
#include "ops/cpu_ops.h"
#include "ops/cpu_tiles.h"
#include "ops/reference_ops.h"
#ifdef DRIFTLESS_CUDA
#include "ops/cuda/cuda_ops.h"
#endif

namespace driftless {

namespace {

// Intel's processors take twice as long for a vector product of bf16 as for one of f32 (measured:
// docs/benchmarks.md, AMX); AMD's half as long. What AMX is for, tiles do.
bool vector_bf16_is_fast() {
#if defined(__x86_64__)
  return !__builtin_cpu_is("intel");
#else
  return true;
#endif
}

const PanelKernels& kernels_for(const std::string& dtype) {
  if (dtype == "f32") return vector_kernels(WordType::f32);
  DL_CHECK(dtype == "auto" || dtype == "bf16", "compute dtype", "\"auto\", \"f32\" or \"bf16\"",
           "\"" + dtype + "\"");
  if (const PanelKernels* tiles = tile_kernels()) return *tiles;
  if (kHasBf16 && (dtype == "bf16" || vector_bf16_is_fast())) {
    return vector_kernels(WordType::bf16);
  }
  DL_CHECK(dtype == "auto", "compute dtype",
           "\"f32\": this build's processor does not multiply bf16 (AVX512_BF16 or AMX)",
           "\"bf16\"");
  return vector_kernels(WordType::f32);
}

/// Multiplications and additions below which an operation stays on one thread: about a
/// millisecond's work. Waking another core costs tens of microseconds, and on a machine where
/// others run too, milliseconds.
constexpr double kSplitOperations = 2e8;

}  // namespace

CudaBackend& cuda_backend() {
#ifdef DRIFTLESS_CUDA
  static CudaBackend backend = [](const std::string& dtype) { return make_cuda_ops(dtype); };
#else
  static CudaBackend backend = nullptr;
#endif
  return backend;
}

CpuOps::CpuOps(int threads, const PanelKernels& kernels)
    : kernels_(kernels), pool_(threads), workers_(static_cast<size_t>(threads)) {}
CpuOps::~CpuOps() = default;

bool CpuOps::splits(double operations) const {
  return pool_.threads() > 1 && operations >= kSplitOperations && !pool_.inside_task();
}

void CpuOps::each(int64_t count, TaskRef task) { pool_.run(count, task); }

std::unique_ptr<Ops> make_ops(const std::string& backend, int threads, const std::string& dtype) {
  DL_CHECK(threads >= 1, "compute threads", "at least 1", threads);
  if (backend == "cuda") {
    DL_CHECK(cuda_backend() != nullptr, "compute backend",
             "\"reference\" or \"cpu\" in a build without DRIFTLESS_CUDA", "\"cuda\"");
    return cuda_backend()(dtype);
  }
  const PanelKernels& kernels = kernels_for(dtype);
  if (backend == "reference") return std::make_unique<ReferenceOps>();
  if (backend == "cpu") return std::make_unique<CpuOps>(threads, kernels);
  throw Error("compute backend", "\"reference\", \"cpu\" or \"cuda\"", "\"" + backend + "\"");
}

}  // namespace driftless
