#include "ops/cuda/cublaslt_gemm.h"

#include <string>

#include "core/error.h"
#include "ops/cuda/replay.h"

namespace driftless {
namespace cuda {

// The library thinks in columns, where a row-major matrix is its own transpose: y^T [out, rows] =
// w x^T. So A is w, read transposed from [in, out], and B is x^T [in, rows] as it lies in memory.
struct LtGemm::Plan {
  lt::MatmulDesc desc = nullptr;
  lt::Layout a = nullptr, b = nullptr, d = nullptr;
  lt::Heuristic choice = {};
  bool possible = false;
};

LtGemm::LtGemm(const lt::Api& api, void* workspace, size_t workspace_bytes)
    : api_(api), workspace_(workspace), workspace_bytes_(workspace_bytes) {
  check(api_.cublasLtCreate(&handle_), "cublasLtCreate");
}

LtGemm::~LtGemm() {
  for (auto& [key, plan] : plans_) {
    api_.cublasLtMatrixLayoutDestroy(plan.a);
    api_.cublasLtMatrixLayoutDestroy(plan.b);
    api_.cublasLtMatrixLayoutDestroy(plan.d);
    api_.cublasLtMatmulDescDestroy(plan.desc);
  }
  api_.cublasLtDestroy(handle_);
}

void LtGemm::check(lt::Status status, const char* what) const {
  if (status != 0) throw Error(what, "success", api_.cublasLtGetStatusString(status));
}

LtGemm::Plan& LtGemm::plan(const GemmCall& call) {
  const bool gated = call.gate.vectors != nullptr;
  const Key key = {call.type,
                   call.out_type,
                   call.rows,
                   call.in,
                   call.out,
                   call.bias != nullptr,
                   call.gelu,
                   call.residual != nullptr,
                   gated,
                   gated ? call.gate.groups : 1,
                   gated ? call.gate.stride : 0};
  const auto [found, fresh] = plans_.try_emplace(key);
  if (fresh) make(found->second, call);
  return found->second;
}

/// `groups` matrices that lie `stride` elements apart, columns without gaps.
lt::Layout LtGemm::layout(lt::DataType type, int64_t rows, int64_t columns, int64_t groups,
                          int64_t stride) const {
  lt::Layout made = nullptr;
  check(api_.cublasLtMatrixLayoutCreate(&made, type, static_cast<uint64_t>(rows),
                                        static_cast<uint64_t>(columns), rows),
        "cublasLtMatrixLayoutCreate");
  if (groups == 1) return made;
  const auto count = static_cast<int32_t>(groups);
  for (const lt::Status status :
       {api_.cublasLtMatrixLayoutSetAttribute(made, lt::kBatchCount, &count, sizeof count),
        api_.cublasLtMatrixLayoutSetAttribute(made, lt::kBatchStride, &stride, sizeof stride)}) {
    check(status, "cublasLtMatrixLayoutSetAttribute");
  }
  return made;
}

void LtGemm::make(Plan& plan, const GemmCall& call) {
  const int64_t groups = call.gate.groups, rows = call.rows / groups;
  check(api_.cublasLtMatmulDescCreate(&plan.desc, lt::kCompute32F, lt::kF32),
        "cublasLtMatmulDescCreate");
  const auto set = [&](lt::DescAttribute attribute, auto value) {
    check(api_.cublasLtMatmulDescSetAttribute(plan.desc, attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
  };
  set(lt::kTransA, static_cast<int32_t>(lt::kTransposed));
  set(lt::kTransB, static_cast<int32_t>(lt::kNone));
  const lt::EpilogueKind epilogue = call.bias != nullptr ? (call.gelu ? lt::kGeluBias : lt::kBias)
                                                         : (call.gelu ? lt::kGelu : lt::kPlain);
  set(lt::kEpilogue, static_cast<uint32_t>(epilogue));
  // The pointer's alignment is part of what the heuristic looks at.
  if (call.bias != nullptr) {
    set(lt::kBiasPointer, call.bias);
    if (call.bias_type != call.out_type) {
      set(lt::kBiasType, static_cast<int32_t>(call.bias_type));
    }
  }
  if (call.scale != nullptr) set(lt::kScaleAPointer, call.scale);
  if (call.gate.vectors != nullptr) {
    set(lt::kPointerMode, static_cast<int32_t>(lt::kAlphaVectorBetaHost));
    set(lt::kAlphaBatchStride, groups == 1 ? int64_t{0} : call.gate.stride);
    if (call.bias != nullptr) set(lt::kBiasBatchStride, groups == 1 ? int64_t{0} : call.out);
  }
  plan.a = layout(call.type, call.in, call.out, groups, 0);
  plan.b = layout(call.type, call.in, rows, groups, rows * call.in);
  plan.d = layout(call.out_type, call.out, rows, groups, rows * call.out);
  lt::Preference preference = nullptr;
  check(api_.cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
  check(api_.cublasLtMatmulPreferenceSetAttribute(preference, lt::kMaxWorkspaceBytes,
                                                  &workspace_bytes_, sizeof workspace_bytes_),
        "cublasLtMatmulPreferenceSetAttribute");
  int count = 0;
  const lt::Status status = api_.cublasLtMatmulAlgoGetHeuristic(
      handle_, plan.desc, plan.a, plan.b, plan.d, plan.d, preference, 1, &plan.choice, &count);
  api_.cublasLtMatmulPreferenceDestroy(preference);
  plan.possible = status == 0 && count > 0 && plan.choice.state == 0;
}

bool LtGemm::run(const GemmCall& call, void* stream) {
  DL_CHECK(call.residual == nullptr || (!call.gelu && call.out_type == lt::kF32),
           "matrix product with a residual", "no GELU and an output of f32", "another");
  DL_CHECK(call.gate.vectors == nullptr || (call.residual != nullptr && call.scale == nullptr),
           "matrix product with a gate", "a residual and no weights of 8 bits", "another");
  DL_CHECK(call.gate.groups >= 1 && call.rows % call.gate.groups == 0, "groups of a gate",
           "a divisor of " + std::to_string(call.rows) + " rows", call.gate.groups);
  Plan& plan = this->plan(call);
  if (!plan.possible) return false;
  put_on_stream(
      static_cast<cudaStream_t>(stream),
      [this, call, &plan](cudaStream_t on) { start(call, plan, on); }, call, &plan);
  return true;
}

void LtGemm::start(const GemmCall& call, Plan& plan, void* stream) const {
  const auto point = [&](lt::DescAttribute attribute, const auto& pointer) {
    if (pointer == nullptr) return;
    check(api_.cublasLtMatmulDescSetAttribute(plan.desc, attribute, &pointer, sizeof pointer),
          "cublasLtMatmulDescSetAttribute");
  };
  point(lt::kBiasPointer, call.bias);
  point(lt::kScaleAPointer, call.scale);
  const float one = 1.0f, beta = call.residual != nullptr ? 1.0f : 0.0f;
  const void* c = call.residual != nullptr ? call.residual : call.y;
  const float* alpha = call.gate.vectors != nullptr ? call.gate.vectors : &one;
  check(api_.cublasLtMatmul(handle_, plan.desc, alpha, call.w, plan.a, call.x, plan.b, &beta, c,
                            plan.d, call.y, plan.d, &plan.choice.algorithm, workspace_,
                            plan.choice.workspace_bytes, stream),
        "cublasLtMatmul");
}

}  // namespace cuda
}  // namespace driftless
