// Compared with NVIDIA's header where there is one (`npm run cuda:check`): the numbers, sizes and
// parameters that ops/cuda/cublaslt_api.h declares for itself. Not part of any build.

#include <cublasLt.h>

#include <cstddef>
#include <cstdio>

#include "ops/cuda/cublaslt_api.h"
#include "same_call.h"

namespace lt = driftless::cuda::lt;

static_assert(lt::kF32 == CUDA_R_32F && lt::kF16 == CUDA_R_16F && lt::kBf16 == CUDA_R_16BF);
static_assert(lt::kCompute32F == CUBLAS_COMPUTE_32F);
static_assert(lt::kNone == CUBLAS_OP_N && lt::kTransposed == CUBLAS_OP_T);
static_assert(lt::kTransA == CUBLASLT_MATMUL_DESC_TRANSA);
static_assert(lt::kTransB == CUBLASLT_MATMUL_DESC_TRANSB);
static_assert(lt::kEpilogue == CUBLASLT_MATMUL_DESC_EPILOGUE);
static_assert(lt::kBiasPointer == CUBLASLT_MATMUL_DESC_BIAS_POINTER);
static_assert(lt::kScaleAPointer == CUBLASLT_MATMUL_DESC_A_SCALE_POINTER);
static_assert(lt::kPointerMode == CUBLASLT_MATMUL_DESC_POINTER_MODE);
static_assert(lt::kBiasBatchStride == CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE);
static_assert(lt::kAlphaBatchStride == CUBLASLT_MATMUL_DESC_ALPHA_VECTOR_BATCH_STRIDE);
static_assert(static_cast<int>(lt::kAlphaVectorBetaHost) ==
              CUBLASLT_POINTER_MODE_ALPHA_DEVICE_VECTOR_BETA_HOST);
static_assert(lt::kBatchCount == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
static_assert(lt::kBatchStride == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
static_assert(lt::kBiasType == CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE);
static_assert(static_cast<int>(lt::kE4m3) == CUDA_R_8F_E4M3);
static_assert(lt::kMaxWorkspaceBytes == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
static_assert(lt::kPlain == CUBLASLT_EPILOGUE_DEFAULT && lt::kBias == CUBLASLT_EPILOGUE_BIAS);
static_assert(lt::kGelu == CUBLASLT_EPILOGUE_GELU && lt::kGeluBias == CUBLASLT_EPILOGUE_GELU_BIAS);
static_assert(sizeof(lt::Algorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(lt::Heuristic) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(lt::Heuristic, workspace_bytes) ==
              offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(lt::Heuristic, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));

#define DL_SAME(function) \
  static_assert(same_call(decltype(lt::Api::function){}, static_cast<decltype(&function)>(nullptr)))
DL_SAME(cublasLtGetVersion);
DL_SAME(cublasLtGetStatusString);
DL_SAME(cublasLtCreate);
DL_SAME(cublasLtDestroy);
DL_SAME(cublasLtMatmulDescCreate);
DL_SAME(cublasLtMatmulDescDestroy);
DL_SAME(cublasLtMatmulDescSetAttribute);
DL_SAME(cublasLtMatrixLayoutCreate);
DL_SAME(cublasLtMatrixLayoutDestroy);
DL_SAME(cublasLtMatrixLayoutSetAttribute);
DL_SAME(cublasLtMatmulPreferenceCreate);
DL_SAME(cublasLtMatmulPreferenceDestroy);
DL_SAME(cublasLtMatmulPreferenceSetAttribute);
DL_SAME(cublasLtMatmulAlgoGetHeuristic);
DL_SAME(cublasLtMatmul);

/// Argument: the library. Linked with it as well, so the version comes both ways.
int main(int, char** arguments) {
  const lt::Api api = lt::load_api({arguments[1]});
  const size_t linked = cublasLtGetVersion(), loaded = api.cublasLtGetVersion();
  std::printf("header and library agree with our declarations, version %zu\n", loaded);
  return linked == loaded ? 0 : 1;
}
