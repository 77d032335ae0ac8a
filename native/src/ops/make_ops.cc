#include <cstdlib>

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
  DL_CHECK(dtype == "auto" || dtype == "bf16", "compute dtype on a processor",
           "\"auto\", \"f32\" or \"bf16\"", "\"" + dtype + "\"");
  if (const PanelKernels* tiles = tile_kernels()) return *tiles;
  if (kHasBf16 && (dtype == "bf16" || vector_bf16_is_fast())) {
    return vector_kernels(WordType::bf16);
  }
  DL_CHECK(dtype == "auto", "compute dtype",
           "\"f32\": this build's processor does not multiply bf16 (AVX512_BF16 or AMX)",
           "\"bf16\"");
  return vector_kernels(WordType::f32);
}

/// N of "cuda:N", 0 of "cuda", -1 of anything else.
int device_of(const std::string& backend) {
  if (backend == "cuda") return 0;
  const bool numbered = backend.rfind("cuda:", 0) == 0 && backend.size() > 5 &&
                        backend.size() < 9 &&
                        backend.find_first_not_of("0123456789", 5) == std::string::npos;
  return numbered ? std::stoi(backend.substr(5)) : -1;
}

/// Multiplications and additions below which an operation stays on one thread: about a
/// millisecond's work. Waking another core costs tens of microseconds, and on a machine where
/// others run too, milliseconds.
constexpr double kSplitOperations = 2e8;

}  // namespace

std::string choose_backend(const std::string& asked) {
  if (asked == "auto") {
#ifdef DRIFTLESS_CUDA
    if (inspect_cuda().problem.empty()) return "cuda";
#endif
    return "cpu";
  }
  DL_CHECK(asked == "reference" || asked == "cpu" || device_of(asked) >= 0, "compute backend",
           "\"auto\", \"cpu\", \"cuda\", \"cuda:N\" or \"reference\"", "\"" + asked + "\"");
  return asked;
}

std::vector<std::string> split_backends(const std::string& list) {
  std::vector<std::string> names(1);
  for (const char letter : list) {
    if (letter == ',') {
      names.emplace_back();
    } else if (letter != ' ') {
      names.back() += letter;
    }
  }
  for (const std::string& name : names) {
    DL_CHECK(!name.empty(), "compute backends", "names with commas between them",
             "\"" + list + "\"");
  }
  return names;
}

bool runs_beside_itself(const std::string& backend) {
  const char* overlap = std::getenv("DRIFTLESS_CUDA_OVERLAP");
  if (overlap != nullptr && std::string(overlap) == "off") return false;
  return device_of(choose_backend(backend)) >= 0;
}

CudaBackend& cuda_backend() {
#ifdef DRIFTLESS_CUDA
  static CudaBackend backend = [](int device, const std::string& dtype) {
    return make_cuda_ops(device, dtype);
  };
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
  const std::string chosen = choose_backend(backend);
  if (const int device = device_of(chosen); device >= 0) {
    DL_CHECK(cuda_backend() != nullptr, "compute backend",
             "\"reference\" or \"cpu\" in a build without DRIFTLESS_CUDA", "\"" + chosen + "\"");
    return cuda_backend()(device, dtype);
  }
  const PanelKernels& kernels = kernels_for(dtype);
  if (chosen == "reference") return std::make_unique<ReferenceOps>();
  return std::make_unique<CpuOps>(threads, kernels);
}

}  // namespace driftless
