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
  const Key key = {call.type, call.out_type,        call.rows, call.in,
                   call.out,  call.bias != nullptr, call.gelu, call.residual != nullptr};
  const auto [found, fresh] = plans_.try_emplace(key);
  Plan& plan = found->second;
  if (!fresh) return plan;
  const auto rows = static_cast<uint64_t>(call.rows), in = static_cast<uint64_t>(call.in);
  const auto out = static_cast<uint64_t>(call.out);
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
  check(api_.cublasLtMatrixLayoutCreate(&plan.a, call.type, in, out, call.in), "layout of weights");
  check(api_.cublasLtMatrixLayoutCreate(&plan.b, call.type, in, rows, call.in), "layout of input");
  check(api_.cublasLtMatrixLayoutCreate(&plan.d, call.out_type, out, rows, call.out),
        "layout of output");
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
  return plan;
}

bool LtGemm::run(const GemmCall& call, void* stream) {
  DL_CHECK(call.residual == nullptr || (!call.gelu && call.out_type == lt::kF32),
           "matrix product with a residual", "no GELU and an output of f32", "another");
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
  const float alpha = 1.0f, beta = call.residual != nullptr ? 1.0f : 0.0f;
  const void* c = call.residual != nullptr ? call.residual : call.y;
  check(api_.cublasLtMatmul(handle_, plan.desc, &alpha, call.w, plan.a, call.x, plan.b, &beta, c,
                            plan.d, call.y, plan.d, &plan.choice.algorithm, workspace_,
                            plan.choice.workspace_bytes, stream),
        "cublasLtMatmul");
}

}  // namespace cuda
}  // namespace driftless
