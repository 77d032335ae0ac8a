#include "core/error.h"
#include "ops/cpu_ops.h"
#include "ops/reference_ops.h"

namespace driftless {

CpuOps::CpuOps(int threads) : threads_(threads), scratch_(static_cast<size_t>(threads)) {}
CpuOps::~CpuOps() = default;

float* CpuOps::scratch(int thread, size_t floats) {
  std::vector<float>& memory = scratch_[static_cast<size_t>(thread)];
  if (memory.size() < floats) memory.resize(floats);
  return memory.data();
}

std::unique_ptr<Ops> make_ops(const std::string& backend, int threads) {
  DL_CHECK(threads >= 1, "compute threads", "at least 1", threads);
  if (backend == "reference") return std::make_unique<ReferenceOps>();
  if (backend == "cpu") return std::make_unique<CpuOps>(threads);
  throw Error("compute backend", "\"reference\" or \"cpu\"", "\"" + backend + "\"");
}

}  // namespace driftless
